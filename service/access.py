"""Who may use the service and how often: API keys, and a rate for each client."""

import hashlib
import hmac
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from time import monotonic

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import problem_response
from service.request import Headers, application_path, searches, with_headers

# Keys

KEY = "key"
"""Where `scope["state"]` has the digest of the key that the request came with."""

_OPEN = ("/", "/livez", "/readyz", "/docs", "/redoc", "/openapi.json")
_OPEN_FOLDERS = ("/page/", "/static-offline-docs/")


class ApiKeys:
    """Middleware that answers 401 to requests with none of `keys`; without keys, all are answered.

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
            await self.app(scope, receive, with_headers(send, _privately))
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


def _privately(headers: Headers) -> Headers:
    """The same, so that no cache gives the answer to others (RFC 9111, 3.5): they have no key."""
    return [
        (name, value.replace(b"public", b"private") if name == b"cache-control" else value)
        for name, value in headers
    ]


def _is_open(scope: Scope) -> bool:
    path = application_path(scope)
    if path == "/readyz" and "verbose" in QueryParams(scope["query_string"]):
        return False
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


# Rates

_MOST_CLIENTS = 10_000
"""So many clients are remembered, those that asked last; one that is forgotten begins with a full bucket."""

_IPV6_PREFIX = 64
"""A client has a network of this size at least, and could use another address for each picture."""


class Buckets:
    """The tokens of each client: at most `burst`, and `rate` more a second."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, tokens: int = 1) -> float:
        """Take `tokens`, at most `burst`; where there are fewer, the seconds until there are so many, else 0."""
        wanted = float(min(tokens, self._burst))
        now = self._now()
        left, at = self._left.pop(client, (float(self._burst), now))
        left = min(self._burst, left + self._rate * (now - at))
        wait = max(0.0, (wanted - left) / self._rate)
        self._left[client] = (left if wait else left - wanted, now)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._left)


class RateLimit:
    """Middleware that answers 429 with Retry-After to a search from a client that has asked too often.

    A client is a key, where keys are wanted, else an address. It stands before the body is read.
    """

    def __init__(self, app: ASGIApp, rate: float, burst: int) -> None:
        self.app = app
        self._rate = rate
        self._buckets = Buckets(rate, burst) if rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        tokens = searches(scope)
        if self._buckets is not None and tokens:
            wait = self._buckets.take(_client(scope), tokens)
            if wait:
                seconds = math.ceil(wait)
                detail = f"more than {self._rate:g} searches a second from one client; try again in {seconds} s"
                response = problem_response(429, detail, headers={"Retry-After": str(seconds)})
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _client(scope: Scope) -> str:
    """The key or the address."""
    key: str | None = scope.get("state", {}).get(KEY)
    if key is not None:
        return key
    return network(str((scope.get("client") or ("", 0))[0]))


@lru_cache(_MOST_CLIENTS)
def network(host: str) -> str:
    """What counts as one client: an address of IPv4, a network of IPv6; any other text as it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:  # IPv4 on a socket that takes both
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, _IPV6_PREFIX), strict=False))
