"""Routes that answer 422 to a query parameter which they do not have, or which is given too often.

A misspelt filter that is ignored gives an answer that looks right and is not. The page, its files and the probes
take any parameter: caches and monitors add their own.
"""

from collections.abc import Callable, Coroutine
from difflib import get_close_matches
from typing import Any, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

_LONGEST_NAME = 64
"""Of a parameter's name, so much is said back."""


class StrictRoute(APIRoute):
    """FastAPI's route, which only takes the query parameters that it documents.

    A parameter may be given once, unless its type is a list. `parameters` are their names.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        fields: dict[str, FieldInfo] = {}
        for parameter in self.dependant.query_params:
            kind = parameter.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                fields |= kind.model_fields
            else:
                fields[parameter.alias] = parameter.field_info
        self._lists = {name: get_origin(field.annotation) is list for name, field in fields.items()}
        self.parameters = frozenset(self._lists)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises RequestValidationError for parameters that there are not."""
        if scope["query_string"] and scope["method"] in (self.methods or ()):
            self.given(QueryParams(scope["query_string"]))
        await super().handle(scope, receive, send)

    def given(self, query: QueryParams) -> dict[str, str | list[str]]:
        """The values of a query by name, in a list where there may be several.

        Raises RequestValidationError.
        """
        values: dict[str, str | list[str]] = {}
        wrong = []
        for name in query:
            each = query.getlist(name)
            if name not in self._lists:
                wrong.append(_error(name, "unknown_parameter", self._unknown(name)))
            elif self._lists[name]:
                values[name] = each
            elif len(each) > 1:
                wrong.append(_error(name, "repeated_parameter", f"given {len(each)} times; it has one value"))
            else:
                values[name] = each[0]
        if wrong:
            raise RequestValidationError(wrong)
        return values

    def _unknown(self, name: str) -> str:
        alike = get_close_matches(name[:_LONGEST_NAME].lower(), self._lists, 1)
        if alike:
            return f"there is no such parameter; did you mean {alike[0]}?"
        known = ", ".join(self._lists)
        return f"there is no such parameter; there are {known}" if known else "there are no parameters here"


def _error(name: str, kind: str, message: str) -> dict[str, Any]:
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return {"type": kind, "loc": ("query", shown), "msg": message}


class DirectRoute(StrictRoute):
    """The route without FastAPI's dependency injection, which takes a quarter of the event loop's time.

    It is documented like any other. Its endpoint takes the `request` and, as `asked`, a model of all query
    parameters, and returns the response. It may have no other parameters, and neither it nor its application may
    have dependencies, because nothing would run them. Only for an application's own router, not for one that is
    included.
    """

    def __init__(self, path: str, endpoint: Callable[..., Coroutine[Any, Any, Response]], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._asked: type[BaseModel] = get_type_hints(endpoint)["asked"]
        found = self.dependant
        others = (
            found.dependencies,
            found.path_params,
            found.header_params,
            found.cookie_params,
            found.body_params,
        )
        if any(others) or len(found.query_params) != 1:
            raise TypeError(f"{path} has parameters or dependencies that a direct route would ignore")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises RequestValidationError for parameters that are wrong."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            asked = self._asked.model_validate(self.given(request.query_params))
        except ValidationError as error:
            wrong = [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(wrong) from error
        response: Response = await self.endpoint(request=request, asked=asked)
        await response(scope, receive, send)
