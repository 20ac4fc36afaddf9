"""What every layer needs of a request: its id, its path in the application, a way to change its answer's headers.

The id is in the answer, in its problem, and in every line that is logged about the request.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from random import getrandbits

from starlette.datastructures import QueryParams
from starlette.types import Message, Scope, Send

from model.region import MOST_SQUARES

Headers = list[tuple[bytes, bytes]]

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def new_request_id() -> str:
    """32 hex digits that no other request has."""
    # An id is no secret. The system's random numbers, and uuid4 with them, are waited for without the GIL.
    return f"{getrandbits(128):032x}"


def set_request_id(identity: str) -> None:
    """Set the id of the request that this task, or this context, answers from now on."""
    _current.set(identity)


def request_id() -> str | None:
    """The id of the request that is being answered, None outside of one."""
    return _current.get()


def application_path(scope: Scope) -> str:
    """The path of a request without the prefix under which the service is published."""
    # Starlette keeps the application's own prefix aside where it descends into a folder.
    prefix: str = scope.get("app_root_path", scope.get("root_path", ""))
    path: str = scope["path"]
    return path.removeprefix(prefix)


_SEARCH = re.compile(r"POST /(recommend|recommend/map|similar)|GET /sounds/[^/]+/similar")
_MAP = "/recommend/map"
_TEXT = "q"


def searches(scope: Scope) -> int:
    """How many searches it is, by vectors or by words, 0 where it is none.

    A map counts as the squares that the network sees for it. For middlewares, which see the request before it is
    routed.
    """
    if scope["type"] != "http":
        return 0
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == "/sounds" and scope["method"] == "GET":
        return int(bool(QueryParams(scope["query_string"]).get(_TEXT, "").strip()))
    if _SEARCH.fullmatch(f"{scope['method']} {path}") is None:
        return 0
    return MOST_SQUARES if path == _MAP else 1


def with_headers(send: Send, change: Callable[[Headers], Headers]) -> Send:
    """`send`, which sends the headers of the answer as `change` returns them. Their names are in small letters."""

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = change(list(message.get("headers", [])))
        await send(message)

    return changed
