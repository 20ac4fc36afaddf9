"""What is refused before there is a request that the application could answer.

nginx has its own answers to such; uvicorn sends plain text, without an id, and counts nothing.
"""

from contextvars import copy_context

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.middleware import completed
from service.observability import OnRefused
from service.problems import problem_message
from service.request import Headers, new_request_id, set_request_id


class RefusalError(Exception):
    """A connection is refused with a problem; `reason` is for the metrics."""

    def __init__(self, status: int, detail: str, reason: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.reason = reason


def answer(refusal: RefusalError, client: str, default_headers: Headers, on_refused: OnRefused) -> bytes:
    """The problem as HTTP, the last answer on its connection, with an id of its own; `on_refused` is called."""
    context = copy_context()
    identity = new_request_id()
    context.run(set_request_id, identity)
    extra = {"X-Request-ID": identity} | ({"Retry-After": "1"} if refusal.status == 503 else {})
    headers, body = context.run(problem_message, refusal.status, refusal.detail, extra)
    lines = [STATUS_LINE[refusal.status]]
    for name, value in [*default_headers, *completed(headers), (b"connection", b"close")]:
        lines += [name, b": ", value, b"\r\n"]
    context.run(on_refused, refusal.status, refusal.reason, client, len(body))
    return b"".join([*lines, b"\r\n", body])
