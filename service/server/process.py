"""One process that serves: the application on uvicorn, a clean start and a clean stop.

In reading order: uvicorn's version, memory, serving, the server.
"""

import asyncio
import ctypes
import gc
import logging
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from model.errors import ThudError
from service.app import create_app
from service.logs import line_writer, start_logging
from service.metrics import Metrics
from service.observability import log_refusals
from service.routes.audio import on_disk
from service.server import BACKLOG
from service.server.places import CROWD_CONNECTIONS, SPARE_CONNECTIONS
from service.server.protocol import Connection, connection_class
from service.server.proxies import TrustedProxies
from service.server.signals import EarlySignals
from service.settings import Settings
from service.state import state_of

_log = logging.getLogger("thud")

NEEDED: dict[type, tuple[str, ...]] = {
    HttpToolsProtocol: (
        *("connection_made", "connection_lost", "data_received", "eof_received", "pause_writing", "resume_writing"),
        *("on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
        *("on_response_complete", "shutdown", "timeout_keep_alive_handler"),
        *("_start_asgi_task", "_unset_keepalive_if_required"),
    ),
    uvicorn.Server: ("startup", "main_loop", "on_tick", "shutdown", "handle_exit", "capture_signals"),
}
"""The methods of uvicorn that are overridden here or called, which no version promises to have."""

_ASKED_OF_PARSER = ("get_method", "get_http_version", "should_keep_alive")
"""What uvicorn must ask the parser for, which is ours: an older one does not see that a client wants no more."""


class UvicornError(ThudError):
    """A version of uvicorn on which the service would not do what it says."""


def check_uvicorn() -> None:
    """Raise UvicornError where uvicorn lacks a method or a call: what stands for it here would never be used."""
    lacking = [
        f"{cls.__name__}.{name}" for cls, names in NEEDED.items() for name in names if not hasattr(cls, name)
    ]
    calls = HttpToolsProtocol.on_headers_complete.__code__.co_names
    lacking += [f"call of {name}" for name in _ASKED_OF_PARSER if name not in calls]
    if lacking:
        wanted = [one for one in metadata.requires("thud") or [] if one.startswith("uvicorn")]
        raise UvicornError(
            f"uvicorn {uvicorn.__version__} has no {', '.join(lacking)}, which the service needs; "
            f"install {wanted[0] if wanted else 'another version'}"
        )


_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGEST_KEPT_BYTES = 2**25
_MOST_KEPT_BYTES = 2**25
"""At the end of each part of the heap. With twice as much, 64 clients with 12 megapixels made it 440 MB instead of
less than 400."""


def keep_freed_memory(threads: int) -> None:
    """Keep freed blocks for the next picture rather than give them back to the system; for `threads` that compute.

    A picture of megapixels takes several blocks of megabytes, and the system clears and maps each page of a new
    one: 1 to 6 % of the CPU time of a request of 12 megapixels (docs/studies.md). As many threads have a
    heap of their own as compute, and the others share these: each takes 64 MiB of address space, which may be
    limited. Threads that were started before keep theirs. Does nothing with other C libraries than glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT_BYTES)
    mallopt(_M_ARENA_MAX, threads)


_SWITCH_SECONDS = 0.0001
"""How long a thread may keep Python to itself while another waits for it. Python's own 5 ms are a third of a
picture's time: a thread that is back from the network would stand still for them while the event loop works."""
_DATE_SECONDS = 1.0
_MOST_ACCEPTED_AT_ONCE = 16
_OTHER_FILES = 256
"""Files that may be open besides the connections: audio that is sent, the index, the log."""


def serve(
    settings: Settings,
    listener: socket.socket,
    started: Callable[[str], None],
    signals: EarlySignals,
    parent: int,
) -> None:
    """Serve on `listener` until SIGTERM or Ctrl-C, then finish the requests that are under way.

    `started` is called, with the towers' precision, when requests are answered; until then `signals` see to
    signals. `parent` is a descriptor that ends with the parent process, and serving with it. Raises BundleError or
    LibraryError where the bundle or the index cannot be used, TracingError where tracing cannot, and UvicornError
    where uvicorn is of a version that cannot.
    """
    check_uvicorn()
    sys.setswitchinterval(_SWITCH_SECONDS)
    keep_freed_memory(settings.threads)
    start_logging(as_json=settings.log_format == "json")
    metrics = Metrics()
    app = create_app(settings, metrics)
    for descriptor, stream in ((1, "stdout"), (2, "stderr")):
        line_writer(descriptor).on_lost = partial(metrics.lines_dropped, stream)
    proxies = TrustedProxies(app, settings.proxies)
    protocol = connection_class(settings, log_refusals(metrics))
    protocol.most_in_crowd = _room_for_crowd(settings)
    config = uvicorn.Config(
        proxies,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # service/observability.py logs requests, with their ids
        backlog=BACKLOG,
        server_header=False,
        proxy_headers=False,  # `proxies` sees to them
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.stop_seconds,
    )
    server = _Server(config, protocol, app, settings, started)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, proxies, listener, signals, parent, settings))


def _room_for_crowd(settings: Settings) -> int:
    """How many files may be open beside those that are needed; a warning where these are not allowed."""
    needed = settings.max_connections + SPARE_CONNECTIONS + _OTHER_FILES
    allowed = _allow_files(needed + CROWD_CONNECTIONS)
    if allowed < needed:
        _log.warning(
            "a process may have %d files open here (ulimit -n), and --max-connections %d needs %d: with many "
            "connections some will be closed without an answer",
            allowed,
            settings.max_connections,
            needed,
        )
    return max(0, allowed - needed)


def _allow_files(wanted: int) -> int:
    """Raise the number of files that the process may have open, as far as it may, where it is lower; the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _accepted_at_once(settings: Settings) -> int:
    """How many copies of the listening socket the loop watches: for each, uvloop accepts one connection in a turn.

    With one alone the connections of probes wait behind those of a crowd, and where too many wait, the system takes
    no more. Few beside the places: the client behind a proxy is not known before its request, and those of one
    client that are more than a tenth give way. Of several processes none should take all that come together.
    """
    return max(1, min(_MOST_ACCEPTED_AT_ONCE, settings.max_connections // 50)) if settings.workers == 1 else 1


async def _serve(
    server: "_Server",
    proxies: TrustedProxies,
    listener: socket.socket,
    signals: EarlySignals,
    parent: int,
    settings: Settings,
) -> None:
    loop = asyncio.get_running_loop()
    app = server.app

    def orphaned() -> None:
        loop.remove_reader(parent)
        # Nobody is left who would end this process by force, so the system is asked to.
        signal.alarm(math.ceil(settings.longest_stop_seconds))
        server.stop()

    # Entered here rather than by uvicorn, which would print a traceback where the bundle is missing.
    async with app.router.lifespan_context(app):
        state = state_of(app)
        watcher = state.watcher
        loop.add_signal_handler(signal.SIGHUP, watcher.wake)
        if signals.hung_up:
            watcher.wake()
        loop.add_reader(parent, orphaned)
        watching = asyncio.ensure_future(proxies.watch())
        try:
            await server.serve(sockets=[listener, *(listener.dup() for _ in range(1, _accepted_at_once(settings)))])
        finally:
            watching.cancel()
            loop.remove_reader(parent)
    looking = (state.prober, state.sounds, watcher, proxies)
    if state.queue.running or on_disk.borrowed_tokens or any(one.busy for one in looking):
        # A thread at work cannot be ended, and Python would wait for it. Clients have had their answers.
        logging.shutdown()
        os._exit(0)


class _Server(uvicorn.Server):
    """uvicorn's server; a signal to stop ends it as success, not as death by signal, and loses no request."""

    def __init__(
        self,
        config: uvicorn.Config,
        protocol: type[Connection],
        app: FastAPI,
        settings: Settings,
        started: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._protocol = protocol
        self.app = app
        self._settings = settings
        self._started = started
        self._told_to_stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What was made so far stays, and looking through all of it for garbage would stop every request for 15 ms
        # and more, again and again (docs/studies.md).
        gc.collect()
        gc.freeze()
        self._started(state_of(self.app).served.recommender.towers.precision)

    async def main_loop(self) -> None:
        """Set the date of answers each second, until told to stop, for which uvicorn's own looks each 0.1 s."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), _DATE_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Become unready, then stop accepting, then finish what is under way."""
        state_of(self.app).draining = True
        await asyncio.sleep(self._settings.drain_seconds)
        self._protocol.stopping = True
        listener = sockets[0].dup() if sockets else None  # the others are the same
        for server in self.servers:
            server.close()
        if listener is not None:
            await self._accept_the_rest(listener)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop. A second signal changes nothing: the supervisor and this process often get both."""
        self.should_exit = True
        asyncio.get_running_loop().call_soon_threadsafe(self._told_to_stop.set)  # the loop may be asleep

    def stop(self) -> None:
        """Stop as a signal would."""
        self.should_exit = True
        self._told_to_stop.set()

    async def _accept_the_rest(self, listener: socket.socket) -> None:
        """Take the connections that the kernel has made and nobody has accepted; closing would break them off."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        with listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # there are no more
                    return
                await loop.connect_accepted_socket(self._connection, connection)

    def _connection(self) -> Connection:
        return self._protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
