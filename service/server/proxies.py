"""Believing what a reverse proxy says of its clients, where the proxy is one that is trusted.

uvicorn's own settings take addresses and networks. The proxy of a compose file has a name, whose address changes.
"""

import asyncio
import ipaddress
import logging
import re
import socket
from time import monotonic
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_LOOK_UP_SECONDS = 10.0
_MISSED_SECONDS = 300.0
"""For so long a name may not be found before its addresses are trusted no more: they may be another's by then."""

_log = logging.getLogger("thud")


_PREFIX = re.compile(rb"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
"""A path prefix; nothing that a browser would take for another host, or for a way up."""


class TrustedProxies:
    """uvicorn's middleware for X-Forwarded-For and X-Forwarded-Proto, which also knows proxies by host name.

    X-Forwarded-Prefix, where it is a path, is the prefix that was taken away from the path of this request.

    `trusted` holds addresses, networks and host names; `*` trusts everybody. In a network of containers an address
    changes and a name does not: names are looked up again and again by `watch`.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        self._app: Any = app
        self._addresses = [one for one in trusted if _is_address(one)]
        self._found: dict[str, set[str]] = {one: set() for one in trusted if not _is_address(one)}
        self._missing_since: dict[str, float] = {}
        self._middleware = self._trusting()
        self.busy = False
        """Whether a thread is looking names up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, from its client."""
        middleware: Any = self._middleware
        if scope["type"] == "http" and (scope["client"] or [""])[0] in middleware.trusted_hosts:
            said = [value for name, value in scope["headers"] if name == b"x-forwarded-prefix"]
            # Of several proxies each has taken its own away, the first from the front.
            parts = [part.strip().rstrip(b"/") for part in b",".join(said).split(b",")]
            found = _PREFIX.fullmatch(b"".join(parts))
            if found is not None:
                scope["root_path"] = found[0].decode()
        await middleware(scope, receive, send)

    async def watch(self) -> None:
        """Look the names up, again and again; ends only where there are none."""
        while self._found:
            self.busy = True
            try:
                self.take(await asyncio.to_thread(_look_up, list(self._found)), monotonic())
            except Exception:  # one that failed must not be the last
                _log.exception("could not look up the trusted proxies")
            self.busy = False  # not where it is cancelled: its thread goes on
            await asyncio.sleep(_LOOK_UP_SECONDS)

    def take(self, found: dict[str, set[str]], now: float) -> None:
        """Trust these addresses of the names from `now` on; a name without any keeps those it had for a while."""
        following: dict[str, set[str]] = {}
        for name, before in sorted(self._found.items()):
            addresses = found.get(name, set())
            if addresses:
                if self._missing_since.pop(name, None) is not None:
                    _log.info("the trusted proxy %s can be looked up again", name)
                following[name] = addresses
                continue
            new = name not in self._missing_since
            since = self._missing_since.setdefault(name, now)
            following[name] = before if now - since < _MISSED_SECONDS else set()
            if new or following[name] != before:
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
