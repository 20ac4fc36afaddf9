"""So many pictures a second for each client, where the service is told to count: the rest are refused at once.

A bucket of tokens a client, of which each picture takes one; it fills at the rate. Own code rather than the package
`limits`, whose buckets in memory are unbounded in number.
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api_keys import KEY
from service.problems import problem_response

_MOST_CLIENTS = 10_000
"""Those who asked last; whoever has been forgotten may ask anew."""

_IPV6_PREFIX = 64
"""One client has that many addresses at least, and could use another for each picture."""


class Buckets:
    """The tokens of each client: at most `burst`, and `rate` more a second."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one token; where there is none, the seconds until there is one, else 0."""
        now = self._now()
        left, at = self._left.pop(client, (float(self._burst), now))
        left = min(self._burst, left + self._rate * (now - at))
        wait = max(0.0, (1.0 - left) / self._rate)
        self._left[client] = (left if wait else left - 1.0, now)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._left)


class RateLimit:
    """Middleware that answers 429 with Retry-After to `POST path` from a client that has asked too often.

    A client is a key, where keys are wanted, else an address. It stands before the body is read.
    """

    def __init__(self, app: ASGIApp, rate: float, burst: int, path: str) -> None:
        self.app = app
        self.path = path
        self._rate = rate
        self._buckets = Buckets(rate, burst) if rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        if (
            scope["type"] == "http"
            and self._buckets is not None
            and scope["method"] == "POST"
            and scope["path"] == scope.get("root_path", "") + self.path
        ):
            wait = self._buckets.take(_client(scope))
            if wait:
                seconds = math.ceil(wait)
                detail = f"more than {self._rate:g} pictures a second from one client; try again in {seconds} s"
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
    """What one client has for itself: an address of IPv4, a network of IPv6; anything else as it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:  # IPv4 on a socket that takes both
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, _IPV6_PREFIX), strict=False))
