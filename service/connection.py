"""One connection: uvicorn's own HTTP/1.1 protocol on httptools, with bounds on what a client may send.

httptools bounds nothing by itself: an address or a header may be endless, and uvicorn waits for ever for the end
of a request's head. Requests that are no HTTP are answered as problems here; uvicorn would answer in plain text.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.limits import ConnectionLimits
from service.problems import problem_message
from service.request_id import new_request_id, set_request_id

_LINGER_SECONDS = 2.0
"""How long what a refused client still sends is thrown away: closing at once could take the answer from it."""

_FAREWELL_SECONDS = 1.0
"""How long a connection without a request stays open when the service stops: one may be on its way."""

_MOST_PIPELINED = 100

Refused = Callable[[str], None]
"""Told the reason of each refusal."""


class _RefusalError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Connection(HttpToolsProtocol):
    """A connection within `limits`. `waiting` holds those that are in no request or in its head, longest first."""

    limits: ConnectionLimits
    refused: Refused
    waiting: "dict[Connection, None]"

    _timer: TimerHandle | None = None
    _stalled: TimerHandle | None = None
    _answered: RequestResponseCycle | None = None
    _in_head = False
    _in_message = False
    _closing = False
    _stopping = False
    _head_bytes = 0
    _loose_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it where there are too many and none of them is idle."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections and not self._make_room():
            self._refuse(503, "too many connections; try again in 1 s", "connections")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything about it."""
        self._stop_timer()
        self._nobody_reads()
        self.resume_writing()
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, unless the connection has been refused."""
        if self._closing:
            return
        self._unset_keepalive_if_required()
        self._loose_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._in_head:  # CONNECT, which has no path
                self._refuse(400, "this is not a request that this service answers", "malformed")
                return
            self.cycle.keep_alive = False  # there is nothing to upgrade to, and no way to parse what follows
        except httptools.HttpParserError as error:
            refusal = error.__context__
            if isinstance(refusal, _RefusalError):
                self._refuse(refusal.status, refusal.detail, "head_too_large")
            else:
                self._refuse(400, "this is not a well-formed HTTP request", "malformed")
            return
        # What has arrived since the last whole head, piece of a body or end of a message lies in the parser.
        if self._loose_bytes > self.limits.max_header_bytes + self.limits.max_url_bytes:
            self._refuse(431, self._too_long_head(), "head_too_large")
        elif not self._in_message and self._timer is None and not self._answering():
            self._await_head()  # it sent line ends between two requests, which are nothing

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_message = True
        self._in_head = True
        self._head_bytes = 0
        if self._timer is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        super().on_url(url)
        if len(self.url) > self.limits.max_url_bytes:
            raise _RefusalError(414, f"the address is longer than {self.limits.max_url_bytes:,} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header; those after the body, which nothing here reads, are dropped."""
        if not self._in_head:
            return
        self._head_bytes += len(name) + len(value) + len(b": \r\n")
        if self._head_bytes > self.limits.max_header_bytes:
            raise _RefusalError(431, self._too_long_head())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: the application begins."""
        super().on_headers_complete()
        self._stop_timer()
        if self._stopping:
            self.cycle.keep_alive = False
        self._in_head = False
        self._loose_bytes = 0
        self.waiting.pop(self, None)
        if len(self.pipeline) > _MOST_PIPELINED:
            raise _RefusalError(400, "too many requests were sent ahead of their answers")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._loose_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_message = False
        self._loose_bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent; the rest of a body that nobody reads may come for a while and is thrown away."""
        super().on_response_complete()
        if self._in_message and not self.transport.is_closing():
            self._start_timer(self.limits.header_seconds, self.transport.close)
        elif not self.pipeline:
            self.waiting[self] = None
        else:
            self.flow.pause_reading()  # uvicorn reads on, and would pile up what is sent ahead without end

    def shutdown(self) -> None:
        """Finish: a request that is on its way is answered, and its answer says that it is the last."""
        self._stopping = True
        if self._answering() or self._closing:
            super().shutdown()
        else:
            self._start_timer(_FAREWELL_SECONDS, self.transport.close)

    def pause_writing(self) -> None:
        """The client does not read: it may stop for `send_seconds`."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.limits.send_seconds, self._give_up)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _give_up(self) -> None:
        self._nobody_reads()
        self.transport.abort()

    def _nobody_reads(self) -> None:
        """Let what is being answered know. uvicorn tells only the request that came last, which may be another."""
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def _await_head(self) -> None:
        self._in_head = True
        self.waiting[self] = None
        self._start_timer(self.limits.header_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._timer = None
        if self._answering():
            self._await_head()  # of a request behind the one that is being answered
        elif self._in_message:
            self._refuse(408, f"the head did not arrive within {self.limits.header_seconds:g} s", "slow_head")
        else:
            self.transport.close()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for a request or its head; False where there is none."""
        for other in self.waiting:
            if other is not self:
                self.waiting.pop(other)
                other.transport.abort()
                return True
        return False

    def _refuse(self, status: int, detail: str, reason: str) -> None:
        self.refused(reason)
        self._closing = True
        self._stop_timer()
        self.waiting.pop(self, None)
        if self._answering():
            self.cycle.keep_alive = False  # its answer comes first, and closes the connection
            return
        if self._in_message and not self._in_head:
            self._start_timer(_LINGER_SECONDS, self.transport.close)  # it has its answer, and goes on sending
            return
        identity = new_request_id()
        context = copy_context()
        context.run(set_request_id, identity)
        extra = {"X-Request-ID": identity} | ({"Retry-After": "1"} if status == 503 else {})
        headers, body = context.run(problem_message, status, detail, extra)
        lines = [STATUS_LINE[status]]
        for name, value in [*self.server_state.default_headers, *headers, (b"connection", b"close")]:
            lines += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*lines, b"\r\n", body]))
        if status == 503:
            self.transport.close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start_timer(_LINGER_SECONDS, self.transport.close)

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _too_long_head(self) -> str:
        return f"the headers are longer than {self.limits.max_header_bytes:,} bytes"

    def _start_timer(self, seconds: float, then: Callable[[], Any]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def connection_within(limits: ConnectionLimits, refused: Refused) -> type[Connection]:
    """The protocol class for one server. uvicorn makes the instances, so that the limits stand in the class."""
    return type("Connection", (Connection,), {"limits": limits, "refused": staticmethod(refused), "waiting": {}})
