"""Pure ASGI middleware: room for a request's body before it is read."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems
from app.api.middleware import declared_length
from app.domain.errors import OverloadedError
from app.services.admission import Reservation
from app.services.registry import Services


@dataclass(frozen=True, slots=True)
class AdmissionMiddleware:
    """Has a request wait, body unread, until there is room for it, for as long as it is held."""

    app: ASGIApp
    max_bytes: int
    """Of a body; what one is taken for that doesn't declare its length, until it is read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        services: Services = scope["state"]["services"]
        async with AsyncExitStack() as stack:
            try:
                share = services.room.reserve(self._expected(scope))
                held = await stack.enter_async_context(share)
            except OverloadedError as error:
                scope["state"]["problem"] = error.code
                refusal = problems.response(error, scope["state"]["request_id"])
                await refusal(scope, receive, send)
                return
            await self.app(scope, shrinking(receive, held), send)

    def _expected(self, scope: Scope) -> int:
        # Not as it comes: bodies half read would wait for one another's room.
        return (
            self.max_bytes
            if "transfer-encoding" in Headers(scope=scope)
            else declared_length(scope)
        )


def shrinking(receive: Receive, held: Reservation) -> Receive:
    """Return a ``receive`` that gives back what a body turns out not to need."""
    read = 0

    async def receive_counting() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if message["type"] == "http.request" and not message.get("more_body"):
            held.shrink_to(read)
        return message

    return receive_counting
