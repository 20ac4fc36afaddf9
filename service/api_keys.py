"""Answering only those who have a key."""

import hashlib
import hmac
from collections.abc import Sequence
from contextlib import suppress

from starlette.datastructures import MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import problem_response

KEY = "key"
"""Where `scope["state"]` has the digest of the key that the request came with."""

_OPEN = ("/", "/livez", "/readyz", "/docs", "/redoc", "/openapi.json")
_OPEN_FOLDERS = ("/page/", "/static-offline-docs/")


class ApiKeys:
    """Middleware that answers 401 to whoever has none of `keys`; without keys, everybody is answered.

    Probes, the page and the documentation are open: they give away nothing of the library and compute nothing. The
    details of `/readyz?verbose` are not.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        # Digests are of one length, so that comparing takes the same time for keys of every length. Whoever sends a
        # key in one form or the other is the same client.
        self._digests = [(_digest(form), _digest(as_sent(key)[0]).hex()) for key in keys for form in as_sent(key)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or not self._digests or _is_open(scope):
            await self.app(scope, receive, send)
            return
        key = self._key(scope)
        if key is not None:
            scope.setdefault("state", {})[KEY] = key
            await self.app(scope, receive, _privately(send))
            return
        detail = "this needs a key, as Authorization: Bearer KEY or as X-API-Key: KEY"
        await problem_response(401, detail, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _key(self, scope: Scope) -> str | None:
        """The name of the key, None where there is none or a wrong one."""
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # the first of each name
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = _digest((token if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")).strip())
        # All are compared, so that the time does not tell which one matched.
        found = [name for digest, name in self._digests if hmac.compare_digest(given, digest)]
        return found[0] if found else None


def as_sent(key: str) -> list[bytes]:
    """The bytes that stand for a key in a header: those in which it was set, and those of Latin-1.

    curl sends what was typed, which is UTF-8; browsers and many libraries send headers in Latin-1.
    """
    forms = [key.encode("utf-8", "surrogateescape")]
    if not key.isascii():
        with suppress(UnicodeEncodeError):
            forms.append(key.encode("latin-1"))
    return forms


def _privately(send: Send) -> Send:
    """Send what no cache may give to others (RFC 9111, 3.5): they have no key."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if "public" in headers.get("cache-control", ""):
                headers["cache-control"] = headers["cache-control"].replace("public", "private")
        await send(message)

    return sent


def _is_open(scope: Scope) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == "/readyz" and "verbose" in QueryParams(scope["query_string"]):
        return False
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
