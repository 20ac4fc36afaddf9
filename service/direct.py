"""A route whose requests go straight to their endpoint."""

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """FastAPI's route, documented as ever, without its dependencies: they take a quarter of the event loop's time.

    Its endpoint takes the `request` and, as `asked`, a model of all query parameters, each of one value, and
    returns the response. It may have no other parameters, and neither it nor its application any dependencies:
    nothing would run them. For an application's own router, not for one that is included.
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
            raise TypeError(f"{path} has parameters or dependencies that a direct route would not heed")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises RequestValidationError for parameters that are wrong."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            asked = self._asked.model_validate(dict(request.query_params))
        except ValidationError as error:
            wrong = [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(wrong) from error
        response: Response = await self.endpoint(request=request, asked=asked)
        await response(scope, receive, send)
