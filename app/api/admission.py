"""Pure ASGI middleware: room for a request's body before it is read."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems, rendering
from app.api.middleware import declared_length
from app.domain.errors import BodyTimeoutError, OverloadedError
from app.services.admission import Reservation
from app.services.registry import Services


@dataclass(frozen=True, slots=True)
class AdmissionMiddleware:
    """Has a request wait, body unread, until there is room for it, for as long as it is held."""

    app: ASGIApp
    max_bytes: int
    """Of a body; what one is taken for that doesn't declare its length, until it is read."""
    patience: float
    """Seconds for a body to arrive: one that never does would keep its room for ever."""

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
                await rendering.refuse(error, scope, receive, send)
                return
            await self.app(scope, reading(receive, held, self.patience), send)

    def _expected(self, scope: Scope) -> int:
        # Not as it comes: bodies half read would wait for one another's room.
        return (
            self.max_bytes
            if "transfer-encoding" in Headers(scope=scope)
            else declared_length(scope)
        )


def reading(receive: Receive, held: Reservation, patience: float) -> Receive:
    """Return a ``receive`` that waits ``patience`` seconds in all for a body to be complete.

    It gives back the room that the body turns out not to need.
    """
    read = 0
    deadline: float | None = asyncio.get_running_loop().time() + patience

    async def receive_in_time() -> Message:
        nonlocal read, deadline
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError as error:
            late = BodyTimeoutError(f"the body did not arrive within {patience:g} seconds")
            raise problems.RaisedWhileReading(late) from error
        read += len(message.get("body", b""))
        if message["type"] == "http.request" and not message.get("more_body"):
            held.shrink_to(read)
            deadline = None
        return message

    return receive_in_time
