"""One connection: uvicorn's own HTTP/1.1 protocol on httptools, with bounds on what a client may send.

httptools bounds nothing. uvicorn waits for ever for the end of a head, and for a client that does not read; its
settings bound only the time between two requests, which is used. nginx bounds all of these, but the service may
run without it. What is no HTTP is answered with a problem; uvicorn would answer in plain text.
"""

import asyncio
from functools import partial
from typing import Any

import httptools
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.load.pace import Pace
from service.observability import OnRefused
from service.problems import ProblemError
from service.server.parser import Parser, with_path
from service.server.places import Placed, TooManyError
from service.server.refusal import RefusalError, answer
from service.settings import Settings

_LAST_REQUEST_SECONDS = 1.0
"""When the service stops, a request that is on its way is waited for so long; uvicorn would close at once."""

_MOST_PIPELINED = 100
"""Requests that wait behind one. uvicorn has no bound; nginx sends none ahead."""

_MUCH_BYTES = 2**18
"""Of a body that nobody will read: where more is still to come, closing costs both sides less than sending it."""


class Connection(Placed):
    """A connection within the bounds of `settings`; `on_refused` is called for what is refused."""

    on_refused: OnRefused

    stopping = False
    """Whether the service stops. Set in the class: a connection may be accepted before that and made after it."""

    _stalled: asyncio.TimerHandle | None = None
    _broken: RequestResponseCycle | None = None
    _refusal: RefusalError | None = None
    _in_head = False
    _in_message = False
    _head_bytes = 0
    _loose_bytes = 0
    _to_come_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection; where there are too many and none gives way, for a probe alone."""
        super().connection_made(transport)
        self.parser = Parser(self)  # type: ignore[assignment]
        if self.client is not None:  # IPv4 on a socket that takes both: whom to trust is said in IPv4
            self.client = (self.client[0].removeprefix("::ffff:"), self.client[1])
        if self.take_place():
            self._await_head()
            if self.stopping:
                self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything about it."""
        self.stop_timer()
        self._nobody_reads()
        self.resume_writing()
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, unless the connection has been refused."""
        if self.discarding:
            self.discard(len(data))
            return
        self._unset_keepalive_if_required()
        self._loose_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, TooManyError):
                self.turn_away()
                return
            malformed = RefusalError(400, "this is not a well-formed HTTP request", "malformed")
            self.refuse(cause if isinstance(cause, RefusalError) else malformed)
            return
        # What has arrived since the last whole head, piece of a body or end of a message lies in the parser.
        if self._loose_bytes > self.settings.max_header_bytes + self.settings.max_url_bytes:
            self.refuse(self._too_long_head())
        elif not self._in_message and self._timer is None and not self.answering():
            self._await_head()  # it sent line ends between two requests, which are nothing

    def eof_received(self) -> bool:  # type: ignore[override]
        """Nothing more comes, and the client waits for its answers or has left. True where it may wait."""
        if self.awaits_refusal():
            self.refuse(TooManyError())
            return False
        if self._in_message and not self._in_head and self.answering() and not self.discarding:
            self.refuse(RefusalError(400, "the request was broken off before its body was complete", "client_gone"))
        return self.answer_half_closed()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_message = True
        self._in_head = True
        self._head_bytes = 0
        self._discarded_bytes = 0
        if self._timer is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        super().on_url(url)
        if len(self.url) > self.settings.max_url_bytes:
            detail = f"the address is longer than {self.settings.max_url_bytes:,} bytes"
            raise RefusalError(414, detail, "head_too_large")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header; those after the body, which nothing here reads, are dropped."""
        if not self._in_head:
            return
        self._head_bytes += len(name) + len(value) + len(b": \r\n")
        if self._head_bytes > self.settings.max_header_bytes:
            raise self._too_long_head()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: the application begins."""
        self.url = with_path(self.url)
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise RefusalError(400, "too many requests were sent ahead of their answers", "pipelined")
        if not self.may_ask(self.url):
            raise TooManyError
        super().on_headers_complete()
        self.stop_timer()
        if self.stopping or self in self.probing:
            self.cycle.keep_alive = False
        self.pace = Pace()
        self._in_head = False
        self._loose_bytes = 0
        declared = next((value for name, value in self.headers if name == b"content-length"), b"0")
        self._to_come_bytes = int(declared)  # the parser has seen that it is one
        self.waiting.pop(self, None)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._loose_bytes = 0
        self._to_come_bytes -= len(body)
        if self.pace is not None:
            self.pace.count(len(body))
        super().on_body(body)
        if self.cycle.response_complete:
            self.discard(len(body))

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_message = False
        self._loose_bytes = 0
        self.pace = None
        self.stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent: to the next request, or to what was refused behind this one."""
        if self.finished:
            return
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.answering():  # a request that was sent ahead
            if self.pipeline:
                self.flow.pause_reading()  # uvicorn reads on, and would pile up what is sent ahead without end
            return
        if self._refusal is not None:
            self._send_refusal(self._refusal)
            return
        self.waiting[self] = self.loop.time()
        if self._in_message:
            self._unset_keepalive_if_required()
            if not self._in_head:  # the rest of a body that nobody reads may come for a while
                self.start_timer(self.settings.linger_seconds, self.transport.abort)

    def shutdown(self) -> None:
        """Finish: a request that is on its way is answered, and its answer says that it is the last."""
        if self.finished:
            # Where the end of an answer is on its way, that has its time already.
            if not self.transport.get_write_buffer_size():
                self.start_timer(_LAST_REQUEST_SECONDS, self.transport.abort)
        elif self.awaits_refusal():
            self.refuse(TooManyError())
        elif self.answering():
            super().shutdown()
        else:
            self.start_timer(_LAST_REQUEST_SECONDS, self.close)

    def timeout_keep_alive_handler(self) -> None:
        """No other request has come for long enough."""
        if not self.transport.is_closing():
            self.close()

    def pause_writing(self) -> None:
        """The client does not read: it may stop for `send_seconds`."""
        super().pause_writing()
        if self._stalled is None:
            self.pace = self.pace or Pace()
            self._stalled = self.loop.call_later(self.settings.send_seconds, self.break_off)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
            if not self._in_message:
                self.pace = None

    def finish(self) -> None:
        """Close after the last answer, lingering where the client still sends."""
        self.linger_in_place(sending=self._in_message or bool(self.pipeline) or self.discarding)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        async def unbroken(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, partial(self._receive, cycle, receive), partial(self._send, cycle, send))
            if cycle.response_started and not (cycle.response_complete or cycle.disconnected):
                cycle.disconnected = True  # it was broken off and is logged; uvicorn would say so once more
                self.finish()

        super()._start_asgi_task(cycle, unbroken)

    async def _receive(self, cycle: RequestResponseCycle, receive: Receive) -> Message:
        """The next piece of the body, or the problem where it broke off: nobody waits for the rest of that."""
        message = await receive()
        unread = cycle.response_complete or cycle.scope["method"] != "POST"  # of others no answer asks for the body
        if self._broken is not cycle or self._refusal is None or unread:
            return message
        if cycle.response_started:
            return {"type": "http.disconnect"}
        headers = {"Retry-After": "1"} if self._refusal.status == 503 else None
        raise ProblemError(self._refusal.status, self._refusal.detail, headers=headers, reason=self._refusal.reason)

    async def _send(self, cycle: RequestResponseCycle, send: Send, message: Message) -> None:
        """A piece of the answer. One that does not wait for a long body, or asks for none, is the last."""
        much_to_come = self._to_come_bytes > _MUCH_BYTES or cycle.waiting_for_100_continue
        if message["type"] == "http.response.start" and self.cycle is cycle and self._in_message and much_to_come:
            message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
        await send(message)

    def break_off(self) -> None:
        """Cut the answer off, which nobody reads."""
        if self.answered is not None and not self.answered.response_complete:
            self.answered.scope.setdefault("state", {})["refused"] = "slow_reader"
        self._nobody_reads()
        self.transport.abort()

    def _nobody_reads(self) -> None:
        """Let what is being answered know. uvicorn tells only the request that came last, which may be another."""
        if self.answered is not None and not self.answered.response_complete:
            self.answered.disconnected = True
            self.answered.message_event.set()

    def _await_head(self) -> None:
        self._in_head = True
        if not self.answering():
            self.waiting[self] = self.loop.time()
        self.start_timer(self.settings.header_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._timer = None
        if self.answering():
            self._await_head()  # of a request behind the one that is being answered
        elif self._in_message:
            detail = f"the head did not arrive within {self.settings.header_seconds:g} s"
            self.refuse(RefusalError(408, detail, "slow_head"))
        else:
            self.close()

    def refuse(self, refusal: RefusalError) -> None:
        """Take nothing more from the client, and tell it why, after the answers to what came before."""
        self.discarding = True
        self.stop_timer()
        self.waiting.pop(self, None)
        in_body = self._in_message and not self._in_head
        if not self.answering():
            if in_body:
                self.finish()  # it has its answer, and goes on sending
            else:
                self._send_refusal(refusal)
            return
        self._refusal = refusal
        if in_body:
            self._broken = self.cycle
            self.cycle.keep_alive = False
            self.cycle.message_event.set()

    def _send_refusal(self, refusal: RefusalError) -> None:
        client = self.client[0] if self.client else "-"
        self.transport.write(answer(refusal, client, self.server_state.default_headers, self.on_refused))
        self.finish()

    def _too_long_head(self) -> RefusalError:
        detail = f"the headers are longer than {self.settings.max_header_bytes:,} bytes"
        return RefusalError(431, detail, "head_too_large")


def connection_class(settings: Settings, on_refused: OnRefused) -> type[Connection]:
    """The protocol class of one server. uvicorn makes the instances, so what they share stands in the class."""
    shared = {"waiting": {}, "turned_away": set(), "probing": {}, "settings": settings}
    return type("Connection", (Connection,), {**shared, "on_refused": staticmethod(on_refused)})
