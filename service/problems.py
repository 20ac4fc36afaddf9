"""Errors as RFC 9457 problem details: `application/problem+json` for every error that is answered."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from model.errors import (
    BusyError,
    DamagedIndexError,
    EngineAwayError,
    FilterError,
    PictureError,
    PictureFormatError,
    PictureTooLargeError,
    SoundError,
    SoundFormatError,
    SoundTooLargeError,
)
from model.threads import no_thread_left
from service.request import request_id

_log = logging.getLogger("thud")

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
"""How an API key is sent, for the OpenAPI document."""

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One field of the request that is wrong."""

    field: str = Field(description="Where it is, such as `query.k` or `body.image`.")
    detail: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """Problem details after RFC 9457."""

    type: str = Field("about:blank", description="Always about:blank: the status says which kind it is.")
    title: str = Field(description="The status in words.", examples=["Unsupported Media Type"])
    status: int = Field(description="The HTTP status.", examples=[415])
    detail: str = Field(
        description="What is wrong with this request and what to do, for a person.",
        examples=["not a JPEG, PNG, WebP or AVIF picture"],
    )
    request_id: str | None = Field(
        None, description="The request's id, under which the service has logged it; also the header X-Request-ID."
    )
    errors: list[FieldError] | None = Field(None, description="The wrong fields, where the problem has any.")


class ProblemError(HTTPException):
    """Ends a request with a problem; `field` names what is wrong where it is one field of the request.

    `reason` is for the metrics, where the status does not say enough.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        self.reason = reason
        super().__init__(status, detail, headers)
        self.errors = None if field is None else [FieldError(field=field, detail=detail)]


def problem_response(
    status: int,
    detail: str,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response that carries a problem. No cache may keep it: browsers would otherwise cache 404 and 410."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, request_id=request_id(), errors=errors
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status,
        {"Cache-Control": "no-store"} | dict(headers or {}),
        MEDIA_TYPE,
    )


def problem_message(
    status: int, detail: str, headers: Mapping[str, str]
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The same as the headers and the body of an HTTP message, for where there is no application to answer."""
    response = problem_response(status, detail, headers=headers)
    return response.raw_headers, bytes(response.body)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that may end in these problems, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def add_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(PictureError, _upload_error)
    app.add_exception_handler(SoundError, _upload_error)
    app.add_exception_handler(FilterError, _filter_error)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(DamagedIndexError, _damaged_index)
    app.add_exception_handler(EngineAwayError, _engine_away)
    app.add_exception_handler(MemoryError, _no_memory)
    app.add_exception_handler(RuntimeError, _no_thread)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(Exception, internal_error)


_LIVENESS, _READINESS = "/livez", "/readyz"


def document_problems(app: FastAPI, *, secured: bool) -> None:
    """Describe `Problem` in the OpenAPI document, and keys where the service is `secured` by them.

    Call it when all routes stand.
    """
    document = app.openapi()  # FastAPI keeps the document and hands out the same one from now on
    schemas = document["components"]["schemas"]
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs"))
    schemas[Problem.__name__] = schema
    # FastAPI claims a 422 of its own shape for every route with a parameter, even one that takes any text.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    if secured:
        document["components"]["securitySchemes"] = SCHEMES
    anything = problem_responses(500)[500] | {"description": "Any other error, such as 400, 404, 414, 431 or 503."}
    operations = [(path, one) for path, methods in document["paths"].items() for one in methods.values()]
    for path, operation in operations:
        if "application/json" in operation["responses"].get("422", {}).get("content", {}):
            del operation["responses"]["422"]
        operation["responses"]["default"] = anything
        if secured and path != _LIVENESS:
            # Readiness is open without its details; an empty requirement says that a key may be left out.
            optional: list[dict[str, list[str]]] = [{}] if path == _READINESS else []
            operation["security"] = optional + [{name: []} for name in SCHEMES]
            operation["responses"]["401"] = problem_responses(401)[401]


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if type(error) is HTTPException and error.status_code == 404:
        detail = f"there is nothing at {request.url.path}"
    elif type(error) is HTTPException and error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}"
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # see service/middleware.py
    errors = None
    if isinstance(error, ProblemError):
        errors = error.errors
        request.state.refused = error.reason
    return problem_response(error.status_code, detail, errors, headers)


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Which of several values of a parameter is wrong, its text says.
    errors = [
        FieldError(field=".".join(part for part in item["loc"] if isinstance(part, str)), detail=item["msg"])
        for item in error.errors()
    ]
    return problem_response(422, "; ".join(f"{item.field}: {item.detail}" for item in errors), errors)


async def _upload_error(request: Request, error: Exception) -> JSONResponse:
    status = 422
    if isinstance(error, PictureFormatError | SoundFormatError):
        status = 415
    elif isinstance(error, PictureTooLargeError | SoundTooLargeError):
        status = 413
    return problem_response(status, str(error))


async def _filter_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FilterError)
    # The length of a sound is its `duration` in all that is sent and received.
    said, field = (text.replace("_seconds", "_duration") for text in (str(error), error.field))
    return problem_response(422, said, [FieldError(field=f"query.{field}", detail=said)])


async def _busy(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError)
    request.state.refused = "pixels"
    return problem_response(503, str(error), headers={"Retry-After": str(error.retry_after)})


async def _damaged_index(request: Request, error: Exception) -> JSONResponse:
    request.state.refused = "damaged_index"
    _log.error("the index cannot be read: %s", error)
    return problem_response(503, "the library cannot be read at the moment", headers={"Retry-After": "5"})


async def _engine_away(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EngineAwayError)
    request.state.refused = "engine_away"
    return problem_response(
        503, "the library does not answer at the moment", headers={"Retry-After": str(error.retry_after)}
    )


async def _no_memory(request: Request, error: Exception) -> JSONResponse:
    request.state.refused = "memory"
    _log.error("no memory for a request: %s", error)
    return problem_response(
        503, "there is not enough memory for this at the moment; try again in 5 s", headers={"Retry-After": "5"}
    )


async def _no_thread(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RuntimeError) or not no_thread_left(error):
        raise error
    return await _no_memory(request, error)


async def _client_gone(request: Request, error: Exception) -> JSONResponse:
    request.state.refused = "client_gone"
    # Nobody reads this answer; without it, every upload that a person breaks off would be logged as a crash.
    return problem_response(400, "the request was broken off before its body was complete")


async def internal_error(request: Request, error: Exception) -> JSONResponse:
    """The problem for an unexpected error."""
    # The traceback is in the server's log, which Starlette and uvicorn see to; the client learns nothing of it.
    return problem_response(
        500, "the service failed on this request; it has been logged and others are not affected"
    )
