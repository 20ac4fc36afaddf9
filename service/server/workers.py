"""The workers, which are the processes that serve one address, and their supervisor.

In reading order: a worker as the supervisor sees it, supervising, a worker's own start, the socket.

A worker may be ended by what it decodes or by a lack of memory: the supervisor does nothing but watch, imports next
to nothing, and starts another. Workers share the listening socket, so that one that dies takes along only
what it had accepted: with SO_REUSEPORT each would have a queue of its own in the kernel, and lose it. uvicorn's own
supervisor is not used because it drops the reason for which a worker could not start.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from tempfile import TemporaryDirectory

from model.errors import ThudError
from model.threads import no_thread_left
from service.environment import METRICS_FOLDER
from service.logs import line_writer, start_logging
from service.server import BACKLOG
from service.server.signals import early_signals, held_back
from service.settings import Settings

_log = logging.getLogger("thud")

_spawn = multiprocessing.get_context("spawn")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TICK_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
_STABLE_SECONDS = 60.0
"""When a worker that has served for so long dies, the next one is started at once."""
_AGAIN_SECONDS = 0.2
"""Whoever stops a process and its group sends the signal twice at once; only later it is a second order to stop."""
_REAP_SECONDS = 1.0
"""A process that SIGKILL has not ended after so long waits for a disk, and is left to the system."""


class WorkerError(ThudError):
    """A worker process that could not start."""


class _Worker:
    """One place among the workers, with the process that fills it now."""

    def __init__(self, settings: Settings, listener: socket.socket, folder: str | None) -> None:
        self._work = (settings, listener, folder)
        self._pause = 0.0
        self._ready_at = 0.0
        self.again_at = 0.0
        self.start()

    @property
    def ready(self) -> bool:
        """Whether the process answers requests."""
        return bool(self._ready_at)

    def start(self) -> None:
        """Start a process in this place. Raises OSError where the system has none to give."""
        pipe, child = _spawn.Pipe()
        process: SpawnProcess = _spawn.Process(target=_serve, args=(*self._work, child))
        try:
            # Python starts its resource tracker with the first process otherwise, and lets signals through again
            # when it has. The tracker ignores all that stops a process but a hang-up: that it never sees.
            with held_back():
                ensure_running()
            with held_back():
                process.start()
        except OSError:
            pipe.close()
            raise
        finally:
            child.close()
        self.pipe, self.process = pipe, process
        self.reason: str | None = None
        self.precision = ""
        self._ready_at = 0.0
        self.again_at = 0.0

    def read_message(self) -> None:
        """Read what the process reports: that it is `ready`, and its `precision`, or why it could not start."""
        try:
            if not self.pipe.poll():
                return
            self.precision, self.reason = self.pipe.recv()
        except (EOFError, OSError):
            return
        if self.reason is None:
            self._ready_at = time.monotonic()

    def reap(self) -> int:
        """Collect the dead process and plan another; its id."""
        self.process.join()
        self.pipe.close()
        pid = self.process.pid
        assert pid is not None, "it was started"
        self.back_off()
        return pid

    def back_off(self) -> None:
        """Plan the next start, after a pause that grows with every one that did not last."""
        if self.ready and time.monotonic() - self._ready_at > _STABLE_SECONDS:
            self._pause = 0.0
        self.again_at = time.monotonic() + self._pause
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause + 1)


def serve_with_workers(settings: Settings, listener: socket.socket, started: Callable[[str], None]) -> None:
    """Serve with `settings.workers` processes until SIGTERM or Ctrl-C, or until the terminal is closed.

    A process that dies is replaced. `started` is called, with the towers' precision, when all of them answer
    requests. SIGHUP is passed on to them. Those that do not stop in time are killed, and all at once where this
    process is told to stop again. Raises WorkerError where one cannot start at first.
    """
    start_logging(as_json=settings.log_format == "json")
    early = early_signals()
    # One worker alone keeps its numbers to itself.
    several = settings.workers > 1
    with (
        _caught() as (received, caught),
        TemporaryDirectory(prefix="thud-metrics-") if several else nullcontext() as folder,
    ):
        if early.hung_up:
            signal.raise_signal(signal.SIGHUP)  # it came before anybody waited for it
        workers: list[_Worker] = []
        try:
            try:
                # One by one, so that those which could be started are ended with the others.
                workers.extend(_Worker(settings, listener, folder) for _ in range(settings.workers))
            except OSError as error:
                raise WorkerError(f"a worker process could not be started: {error}") from error
            announced = False
            while True:
                _wait_for_news(workers, caught)
                # Looked at before the workers: whoever stops the whole group of processes stops them too.
                if {signal.SIGTERM, signal.SIGINT} & set(received):
                    break
                if signal.SIGHUP in received and early.terminal_closed():
                    _log.info("the terminal is closed: stopping")
                    break
                _check(workers, folder, first=not announced)
                if not announced and all(worker.ready for worker in workers):
                    announced = True
                    started(workers[0].precision)
                while signal.SIGHUP in received:
                    received.remove(signal.SIGHUP)
                    _signal(workers, signal.SIGHUP)
        finally:
            listener.close()
            _stop(workers, settings.longest_stop_seconds, received)


@contextmanager
def _caught() -> Iterator[tuple[list[int], int]]:
    """The signals that have come, in order, and a descriptor that can be read when one has; ignored afterwards."""
    received: list[int] = []
    caught, wakes = os.pipe()
    os.set_blocking(caught, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    try:
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: received.append(number))
        yield received, caught
    finally:
        # Python takes its own handlers away as it ends, and would die of a signal that comes late.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.close(caught)
        os.close(wakes)


def _wait_for_news(workers: list[_Worker], caught: int) -> None:
    """Sleep until a worker reports or dies, a signal comes, or it is time to start a worker again.

    Without a time limit where none is needed: a service that nobody asks costs nothing here.
    """
    running = [worker for worker in workers if not worker.again_at]
    awaited = [worker.pipe for worker in running if not worker.ready and worker.reason is None]
    planned = [worker.again_at for worker in workers if worker.again_at]
    seconds = max(0.0, min(planned) - time.monotonic()) if planned else None
    wait([caught, *awaited, *(worker.process.sentinel for worker in running)], seconds)
    with suppress(BlockingIOError):
        os.read(caught, 2**12)


def _check(workers: list[_Worker], folder: str | None, *, first: bool) -> None:
    """Read what the workers report and replace those that are dead; at `first`, none may die."""
    for worker in workers:
        if worker.again_at:
            if time.monotonic() >= worker.again_at:
                try:
                    worker.start()
                except OSError as error:
                    worker.back_off()
                    _log.warning("a worker process could not be started, and is tried again: %s", error)
            continue
        dead = not worker.process.is_alive()
        worker.read_message()  # afterwards, so that none is missed
        if first and worker.reason is not None:
            raise WorkerError(worker.reason)
        if dead:
            code = worker.process.exitcode
            if first:
                raise WorkerError(f"a worker process ended with {code} while it started")
            pid = worker.reap()
            if folder is not None:
                _forget_gauges(pid, folder)
            why = f": {worker.reason}" if worker.reason else ""
            _log.warning("worker %d ended with %s and is replaced%s", pid, code, why)


def _stop(workers: list[_Worker], seconds: float, received: list[int]) -> None:
    """End all workers; kill those that take longer than `seconds`, and all where another signal is `received`."""
    _signal(workers, signal.SIGTERM)
    began = time.monotonic()
    again = False
    while running := [worker.process for worker in workers if worker.process.is_alive()]:
        took = time.monotonic() - began
        if took < _AGAIN_SECONDS:
            received.clear()
        again = bool({signal.SIGTERM, signal.SIGINT} & set(received))
        if again or took > seconds:
            break
        wait([process.sentinel for process in running], min(_TICK_SECONDS, seconds))
    for process in running:
        why = "this process was told to stop again" if again else f"it did not stop within {seconds:g} s"
        _log.warning("worker %d is killed: %s", process.pid, why)
        process.kill()
    for worker in workers:
        worker.process.join(_REAP_SECONDS)


def _signal(workers: list[_Worker], number: signal.Signals) -> None:
    for worker in workers:
        if worker.process.is_alive() and worker.process.pid is not None:
            os.kill(worker.process.pid, number)


def _forget_gauges(pid: int, folder: str) -> None:
    """What the dead process said of its queue no longer holds; what it counted stays counted."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def _serve(settings: Settings, listener: socket.socket, folder: str | None, pipe: Connection) -> None:
    """A worker process."""
    signals = early_signals()
    if folder is not None:
        os.environ[METRICS_FOLDER] = folder
    from service.server.process import serve

    try:
        with listener:
            serve(settings, listener, lambda precision: pipe.send((precision, None)), signals, pipe.fileno())
    except (ThudError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not no_thread_left(error):
            raise
        with suppress(BrokenPipeError):  # nobody reads it any more, and that may be the error
            pipe.send(("", str(error) or "there is not enough memory"))
        sys.exit(1)


class ListenError(ThudError):
    """An address that the service cannot listen on."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests that are under way.

    Raises ListenError where the address is taken or not ours, and WorkerError where the bundle or the index
    cannot be used.
    """
    early_signals()
    with _listening(settings) as listener:
        address = _address(listener)

        def started(precision: str) -> None:
            line_writer(1).put(f"Thud listens on {address} (Ctrl-C stops it); pictures are computed in {precision}")

        serve_with_workers(settings, listener, started)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The socket, bound before anything is loaded: a taken port is known at once."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # A name may have addresses of both families; IPv4 is the one that every client can ask.
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        # So that :: takes IPv4 too, whatever the system's default is.
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listener = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except UnicodeError as error:
        raise ListenError(f"cannot listen on {settings.host!r}: that can be no host") from error
    except OSError as error:
        # Python adds the address to strerror, which the message has already; a gaierror's errno is no errno.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from error
    with listener:
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
