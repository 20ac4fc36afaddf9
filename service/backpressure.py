"""Refusing a picture before its body is read, while the queue is full."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import problem_response
from service.queue import PictureQueue


class Backpressure:
    """Middleware that answers 503 with Retry-After at once to `POST path` while `queue` is full.

    It stands before routing and parsing, so that a refusal costs next to nothing. The body that may follow is
    read and thrown away by the server.
    """

    def __init__(self, app: ASGIApp, queue: PictureQueue, path: str) -> None:
        self.app = app
        self.queue = queue
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        if (
            scope["type"] == "http"
            and self.queue.full
            and scope["method"] == "POST"
            and scope["path"] == scope.get("root_path", "") + self.path
        ):
            refusal = self.queue.refusal()
            scope.setdefault("state", {})["refused"] = refusal.reason
            await problem_response(503, refusal.detail, headers=refusal.headers)(scope, receive, send)
            return
        await self.app(scope, receive, send)
