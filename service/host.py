"""The header Host, of which RFC 9112 (3.2) wants exactly one, with a host in it."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import problem_response

# The letters of a host and a port (RFC 3986, 3.2.2); it may be empty where the address has no host.
_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")


class OneHost:
    """Middleware that answers 400 to a request with several Hosts, or without one, which HTTP/1.0 allows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        detail = None
        if len(hosts) > 1:
            detail = "the request has more than one Host header"
        elif not hosts and scope["http_version"] == "1.1":
            detail = "the request has no Host header"
        elif hosts and not _HOST.fullmatch(hosts[0]):
            detail = "the Host header of the request is no host"
        if detail is not None:
            await problem_response(400, detail)(scope, receive, send)
            return
        await self.app(scope, receive, send)
