"""Lingering close: the client gets its answer also where it is still sending its request.

TCP resets a connection that is closed with something unread, and a reset takes the answer from the client. So what
it still sends is thrown away for a while, within bounds, as by nginx's `lingering_close`. uvicorn closes at once,
and the service may run without nginx. A client that half-closes (sends its end and waits) has its answer too.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.settings import Settings

_HALF_CLOSED_SECONDS = 0.3
"""So often a client that has sent its end is written to, until its answer begins. uvicorn does not."""


class Lingering(HttpToolsProtocol):
    """uvicorn's protocol with a lingering close.

    `waiting` holds the connections that may give way to others, the one that has waited longest first: they are
    between two requests, in the head of one, send what nobody reads any more, or read the end of their last answer.
    """

    settings: Settings
    waiting: "dict[Lingering, float]"

    discarding = False
    """Whether what arrives is thrown away."""
    finished = False
    """Whether the last answer has been sent."""
    answered: RequestResponseCycle | None = None
    """What is being answered, or was last."""

    _timer: TimerHandle | None = None
    _discarded_bytes = 0
    _ended = False

    def linger(self, *, sending: bool, seconds: float, may_give_way: bool = True) -> None:
        """Close once the answer is sent, and where the client is `sending`, once it has ended or after `seconds`.

        Meanwhile the connection may have to give way to others.
        """
        if self.finished or self.transport.is_closing():
            return
        self.discarding = self.finished = True
        self.stop_timer()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if not sending or self._ended:
            self.close()
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if may_give_way:
            self.waiting[self] = self.loop.time()
        self.start_timer(seconds, self.transport.abort)

    def answer_half_closed(self) -> bool:
        """Keep the connection for answers under way to a client that has sent its end; False where there are none.

        A client that leaves sends its end too, and only writing to it tells which it is. HTTP/1.0 allows nothing to
        be written before the answer, so that there no picture is computed.
        """
        if self.finished or not self.answering():
            return False
        version, method = self.cycle.scope["http_version"], self.cycle.scope["method"]
        if version == "1.0" and method == "POST":
            return False
        self._ended = True
        self.cycle.keep_alive = False
        if version != "1.0":
            self.start_timer(_HALF_CLOSED_SECONDS, self._write_to_half_closed)
        return True

    def close(self) -> None:
        """Close once all that is written has been sent, at the latest after `send_seconds`."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.waiting[self] = self.loop.time()
            self.start_timer(self.settings.send_seconds, self.transport.abort)

    def discard(self, size: int) -> None:
        """Count `size` bytes as thrown away; a client that goes on and on is cut off once it has had its answer."""
        self._discarded_bytes += size
        if self._discarded_bytes > self.settings.linger_bytes and not self.answering():
            self.transport.abort()

    def answering(self) -> bool:
        """Whether an answer is under way, or due to a request that was sent ahead."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def start_timer(self, seconds: float, then: Callable[[], Any]) -> None:
        """Call `then` later, unless the timer is stopped or started anew before; a connection has one."""
        self.stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def stop_timer(self) -> None:
        """Cancel it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def finish(self) -> None:
        """Called in place of closing the transport, when the last answer is written."""
        raise NotImplementedError

    def _write_to_half_closed(self) -> None:
        """Write `100 Continue`, which clients ignore (RFC 9110, 15.2); the second fails where nobody is left."""
        if self.answered is not None and not self.answered.response_started:
            self.transport.write(STATUS_LINE[100] + b"\r\n")
        self.start_timer(_HALF_CLOSED_SECONDS, self._write_to_half_closed)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answered = cycle
        cycle.transport = cast("asyncio.Transport", _AnswerTransport(self))
        super()._start_asgi_task(cycle, app)


class _AnswerTransport:
    """The transport that an answer gets: closing it is a lingering close."""

    def __init__(self, connection: Lingering) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.finish
