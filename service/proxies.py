"""Believing what a reverse proxy says of its clients, where the proxy is one that is trusted."""

import asyncio
import ipaddress
import logging
import socket
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_LOOK_UP_SECONDS = 10.0
_MOST_MISSED = 30
"""So often in a row a name may not be found, which is five minutes, before its addresses are trusted no more: they
may have become another's."""

_log = logging.getLogger("thud")


class TrustedProxies:
    """uvicorn's middleware for X-Forwarded-For and X-Forwarded-Proto, which also knows proxies by host name.

    `trusted` holds addresses, networks and host names; `*` trusts everybody. In a network of containers an address
    changes and a name does not: names are looked up again and again by `watch`.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        self._app: Any = app
        self._addresses = [one for one in trusted if _is_address(one)]
        self._found: dict[str, set[str]] = {one: set() for one in trusted if not _is_address(one)}
        self._missed: dict[str, int] = {}
        self._middleware = self._trusting()
        self.busy = False
        """Whether a thread is looking names up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, from its client."""
        middleware: Any = self._middleware
        await middleware(scope, receive, send)

    async def watch(self) -> None:
        """Look the names up, again and again; ends only where there are none."""
        while self._found:
            self.busy = True
            found = await asyncio.to_thread(_look_up, list(self._found))
            self.busy = False  # not where it is cancelled: its thread goes on
            self.take(found)
            await asyncio.sleep(_LOOK_UP_SECONDS)

    def take(self, found: dict[str, set[str]]) -> None:
        """Trust these addresses of the names from now on; a name without any keeps those it had for a while."""
        following: dict[str, set[str]] = {}
        for name, before in sorted(self._found.items()):
            addresses = found.get(name, set())
            if addresses:
                if self._missed.pop(name, 0):
                    _log.info("the trusted proxy %s can be looked up again", name)
                following[name] = addresses
                continue
            missed = self._missed[name] = self._missed.get(name, 0) + 1
            following[name] = before if missed < _MOST_MISSED else set()
            if missed in (1, _MOST_MISSED):
                kept = ", ".join(sorted(following[name]))
                then = f"it is still trusted at {kept}" if kept else "it is not trusted until it can"
                _log.warning("the trusted proxy %s cannot be looked up; %s", name, then)
        if following != self._found:
            self._found = following
            self._middleware = self._trusting()

    def _trusting(self) -> ProxyHeadersMiddleware:
        addresses = [*self._addresses, *sorted(set().union(*self._found.values()))]
        return ProxyHeadersMiddleware(self._app, "*" if "*" in addresses else addresses)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text == "*"
    return True


def _look_up(names: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name in names:
        try:
            entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # the latter for what can be no name at all
            continue
        found[name] = {str(entry[4][0]) for entry in entries}
    return found
