"""Pure ASGI middleware: callers are told to go elsewhere before the service goes down."""

from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.services.registry import Services


@dataclass(frozen=True, slots=True)
class DrainingMiddleware:
    """Closes each connection behind its answer while the service drains.

    A request that comes down a kept connection in the moment it is closed would be lost.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        services: Services = scope["state"]["services"]

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and services.drain.draining:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self.app(scope, receive, send_closing)
