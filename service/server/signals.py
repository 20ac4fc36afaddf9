"""Signals that come while the service starts: SIGTERM and SIGINT end it, and SIGHUP is remembered.

uvicorn handles signals only once it serves; until then Python's defaults would leave a traceback, or die of SIGHUP.

SIGHUP has two meanings: somebody asks to look for a new index, or the terminal is closed in which the service runs.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

_STOP = (signal.SIGTERM, signal.SIGINT)
_ALL = {*_STOP, signal.SIGHUP}


class EarlySignals:
    """Handlers for the time until there are others: SIGTERM and SIGINT end the process with success.

    SIGHUP, which asks to look for a new index, is remembered: the start may have looked already.
    """

    def __init__(self) -> None:
        self.hung_up = False
        # nohup ignores SIGHUP, and setsid leaves the terminal: then its end is not the service's.
        self._in_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()
        for number in _STOP:
            signal.signal(number, _stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)

    def terminal_closed(self) -> bool:
        """Whether there was a terminal at the start whose end is to be the service's, and is none any more."""
        return self._in_terminal and not _has_terminal()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self.hung_up = True


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _stop(number: int, frame: FrameType | None) -> None:
    # No request is under way yet. An exception could be lost: imports run callbacks in which Python ignores them.
    os._exit(0)


@cache
def early_signals() -> EarlySignals:
    """Those of this process, from the first call on."""
    return EarlySignals()


@contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back, also from a process that is started meanwhile, until that asks for `early_signals`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
