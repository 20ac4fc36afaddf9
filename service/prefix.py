"""Being published under a path prefix by a reverse proxy."""

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """Middleware that gives every request's path the prefix, whether the proxy took it away or left it.

    ASGI wants the path with its `root_path`; mounted applications are only found that way.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the prefix; the prefix alone is redirected to its slash."""
        if scope["type"] == "http" and self.root_path:
            path = scope["path"]
            if path == self.root_path:
                # The page's own addresses are relative to the slash.
                await RedirectResponse(f"{self.root_path}/")(scope, receive, send)
                return
            if not path.startswith(f"{self.root_path}/"):
                path = self.root_path + path
            # In place: what stands around this learns from the same scope which route was taken.
            scope.update(root_path=self.root_path, path=path)
        await self.app(scope, receive, send)
