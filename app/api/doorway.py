"""Pure ASGI middleware: requests beyond what can be served are refused before they are read."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import rendering
from app.api.access import credential
from app.domain.errors import OverloadedError
from app.services.door import Door

# Health, documents, lists: cheap, and needed most when the rest is refused.
_FREE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class DoorMiddleware:
    """Counts requests in progress, and refuses with 503 and Retry-After when they are too many."""

    app: ASGIApp
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] in _FREE:
            await self.app(scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.door.passing(_caller(scope)))
            except OverloadedError as error:
                await rendering.refuse(error, scope, receive, send)
                return
            await self.app(scope, receive, send)


def _caller(scope: Scope) -> str:
    """Return whose share the request counts against, by what they say: a look-up costs more."""
    said = credential(Headers(scope=scope))
    client = scope.get("client")
    return said or (str(client[0]) if client else "")
