"""Starting to serve: the address, then the processes."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from model.errors import ThudError
from service.log_queue import line_writer
from service.settings import Settings
from service.signals import early_signals
from service.workers import serve_with_workers


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
        listener = socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=both)
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
