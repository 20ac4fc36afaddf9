"""Closing a connection so that its client gets the answer, also where it is still sending its request.

TCP resets a connection that is closed with something unread, and a reset takes the answer from the client. So what
it still sends is thrown away for a while, within bounds, as by nginx's `lingering_close`. uvicorn closes at once.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.limits import ConnectionLimits

_ASIDE_SECONDS = 0.3
"""So often a client that has sent its end is written to, until its answer begins."""


class Leaving(HttpToolsProtocol):
    """uvicorn's protocol with such an end. `waiting` holds connections that may give way to others, longest first.

    They are in no request, in its head, send what nobody reads any more, or take the end of their last answer.
    """

    limits: ConnectionLimits
    waiting: "dict[Leaving, None]"

    deaf = False
    """Whether what arrives is thrown away."""
    gone = False
    """Whether the last answer has been sent."""
    answered: RequestResponseCycle | None = None
    """What is being answered, or was last."""

    _timer: TimerHandle | None = None
    _discarded_bytes = 0
    _ended = False

    def leave(self, *, sending: bool, seconds: float, patient: bool = True) -> None:
        """Close once the answer is sent, and where the client is `sending`, only after it or after `seconds`.

        A `patient` one gives way to other connections meanwhile.
        """
        if self.gone or self.transport.is_closing():
            return
        self.deaf = self.gone = True
        self.stop_timer()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if not sending or self._ended:
            self.close()
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if patient:
            self.waiting[self] = None
        self.start_timer(seconds, self.transport.abort)

    def stay_to_answer(self) -> bool:
        """Stay for the answers under way, the last ones, to a client that has sent its end; False where none are.

        A client that leaves sends its end too, and only writing to it tells which it is. HTTP/1.0 allows nothing to
        be written before the answer, so that there no picture is computed.
        """
        if self.gone or not self.answering():
            return False
        version, method = self.cycle.scope["http_version"], self.cycle.scope["method"]
        if version == "1.0" and method == "POST":
            return False
        self._ended = True
        self.cycle.keep_alive = False
        if version != "1.0":
            self.start_timer(_ASIDE_SECONDS, self._speak_aside)
        return True

    def close(self) -> None:
        """Close once all that is written has been sent, at the latest after `send_seconds`."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.waiting[self] = None
            self.start_timer(self.limits.send_seconds, self.transport.abort)

    def discard(self, size: int) -> None:
        """Count `size` bytes as thrown away; a client that goes on and on is cut off once it has had its answer."""
        self._discarded_bytes += size
        if self._discarded_bytes > self.limits.linger_bytes and not self.answering():
            self.transport.abort()

    def answering(self) -> bool:
        """Whether an answer is under way, or due to a request that was sent ahead."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def start_timer(self, seconds: float, then: Callable[[], Any]) -> None:
        """Do something later, unless the one timer of the connection is stopped or started anew before."""
        self.stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def stop_timer(self) -> None:
        """Do it not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def finish(self) -> None:
        """Called in place of closing the transport, when the last answer is written."""
        raise NotImplementedError

    def _speak_aside(self) -> None:
        """Say what every client passes over (RFC 9110, 15.2): the second time fails where nobody is left."""
        if self.answered is not None and not self.answered.response_started:
            self.transport.write(STATUS_LINE[100] + b"\r\n")
        self.start_timer(_ASIDE_SECONDS, self._speak_aside)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answered = cycle
        cycle.transport = cast("asyncio.Transport", _Exit(self))
        super()._start_asgi_task(cycle, app)


class _Exit:
    """The transport as an answer sees it: closing it is taking one's leave."""

    def __init__(self, connection: Leaving) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.finish
