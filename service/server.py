"""Running the application on uvicorn: one process, one address, a clean start and a clean stop."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import click
import uvicorn
from fastapi import FastAPI

from model.errors import ThudError
from service.app import create_app
from service.connection import connection_within
from service.edge import with_edge
from service.logs import log_config
from service.metrics import Metrics
from service.proxies import TrustedProxies
from service.settings import Settings
from service.watch import Watcher

_STOP_SECONDS = 10
"""How long requests may go on once the service was told to stop."""


class ListenError(ThudError):
    """An address that the service cannot listen on."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests that are under way.

    Raises ListenError where the address is taken or not ours, and BundleError or LibraryError where the
    bundle or the index cannot be used.
    """
    with _listening(settings) as listener:
        app = create_app(settings)
        metrics: Metrics = app.state.metrics
        proxies = TrustedProxies(with_edge(app, settings, metrics), settings.proxies)
        config = uvicorn.Config(
            proxies,
            http=connection_within(settings.connection_limits, metrics.rejected),
            ws="none",
            lifespan="off",
            log_config=log_config(as_json=settings.log_format == "json"),
            access_log=False,  # the edge logs requests, with their ids
            server_header=False,
            proxy_headers=False,  # `proxies` sees to them
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(app, proxies, config, listener))


async def _serve(app: FastAPI, proxies: TrustedProxies, config: uvicorn.Config, listener: socket.socket) -> None:
    # Entered here rather than by uvicorn, which would print a traceback where the bundle is missing.
    async with app.router.lifespan_context(app):
        watcher: Watcher = app.state.watcher
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watcher.wake)
        watching = asyncio.ensure_future(proxies.watch())
        try:
            await _Server(config).serve(sockets=[listener])
        finally:
            watching.cancel()


class _Server(uvicorn.Server):
    """uvicorn's server, saying where it listens; a signal to stop ends it as success, not as death by signal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            click.echo(f"Thud listens on {_address(listener)} (Ctrl-C stops it)")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The socket, bound before anything is loaded: a taken port is known at once."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        # Python adds the address to strerror, which the message has already; a gaierror's errno is no errno.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from error
    with listener:
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
