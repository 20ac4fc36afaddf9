"""Believing what a reverse proxy says of its clients, where the proxy is one that is trusted."""

import asyncio
import ipaddress
import socket
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_LOOK_UP_SECONDS = 10.0


class TrustedProxies:
    """uvicorn's middleware for X-Forwarded-For and X-Forwarded-Proto, which also knows proxies by host name.

    `trusted` holds addresses, networks and host names; `*` trusts everybody. In a network of containers an address
    changes and a name does not: names are looked up again and again by `watch`.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        self._app: Any = app
        self._names = [one for one in trusted if not _is_address(one)]
        self._addresses = [one for one in trusted if _is_address(one)]
        self._middleware = self._trusting(self._addresses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, from its client."""
        middleware: Any = self._middleware
        await middleware(scope, receive, send)

    async def watch(self) -> None:
        """Look the names up, again and again; ends only where there are none."""
        known: set[str] = set()
        while self._names:
            found = await asyncio.to_thread(_addresses_of, self._names)
            # A name that cannot be looked up for a moment does not lose its trust.
            if found and found != known:
                known = found
                self._middleware = self._trusting([*self._addresses, *sorted(found)])
            await asyncio.sleep(_LOOK_UP_SECONDS)

    def _trusting(self, addresses: list[str]) -> ProxyHeadersMiddleware:
        return ProxyHeadersMiddleware(self._app, "*" if "*" in addresses else addresses)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text == "*"
    return True


def _addresses_of(names: list[str]) -> set[str]:
    found = set()
    for name in names:
        try:
            found |= {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
        except OSError:
            continue
    return found
