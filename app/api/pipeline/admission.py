"""Pure ASGI middleware: what a request passes before it reaches a route.

In this order, so that a refusal costs least: the door, who calls and whether they may, the body's
declared length, room for it. Only then is a byte of the body read. Whatever is waited for here is
waited for within the request's deadline.
"""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import dialects
from app.api.pipeline.authorization import Gatekeeper, credential
from app.api.pipeline.connection import STATE, Link
from app.api.pipeline.deadline import deadline
from app.api.pipeline.request_body import Incoming, too_large
from app.api.routing.context import RequestContext, request_context
from app.api.routing.headers import Headers
from app.domain.errors import ServiceError
from app.services.concurrency.admission_queue import Door
from app.services.concurrency.budget import Reservation
from app.services.concurrency.deadline import Wait

FREE = ("GET", "HEAD", "OPTIONS")
"""Health, documents, lists: cheap, and needed most when the rest is refused."""


@dataclass(frozen=True, slots=True)
class EntranceMiddleware:
    """Lets requests in one by one, and watches that their clients stay."""

    app: ASGIApp
    door: Door
    gatekeeper: Gatekeeper
    max_bytes: int
    """Of a body; what one is taken for that doesn't declare its length, until it is read."""
    patience: float
    """Seconds for a body to arrive."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = request_context(scope)
        services = context.services
        context.deadline = deadline(
            context.options.values, services.timing.request, services.timing.longest
        )
        within = services.drain.before(context.deadline)
        if scope["method"] in FREE:
            await self._inside(context, scope, receive, send, within)
            return
        caller = share(context.headers, scope.get("client"))
        try:
            await self.door.enter(caller, within)
        except ServiceError as error:
            await dialects.refuse(error, scope, receive, send)
            return
        try:
            await self._inside(context, scope, receive, send, within)
        finally:
            self.door.leave(caller)

    async def _inside(
        self, context: RequestContext, scope: Scope, receive: Receive, send: Send, within: Wait
    ) -> None:
        services = context.services
        try:
            if services.operations.remote:
                async with within:
                    await self.gatekeeper.admit(context, scope)
            else:
                # There is nothing to wait for, and a timer would be work for each request.
                await self.gatekeeper.admit(context, scope)
            held = await services.room.hold(self._expected(context.headers), within)
        except ServiceError as error:
            await dialects.refuse(error, scope, receive, send)
            return
        try:
            await self._watched(context, scope, receive, send, held)
        finally:
            held.release()

    def _expected(self, headers: Headers) -> int:
        """Return the bytes to make room for, or raise BodyTooLargeError."""
        if b"transfer-encoding" in headers:
            # Not as it comes: bodies half read would wait for one another's room.
            return self.max_bytes
        length = headers.get(b"content-length", b"0")
        declared = int(length) if length.isdigit() else 0
        if declared > self.max_bytes:
            raise too_large(self.max_bytes)
        return declared

    async def _watched(
        self,
        context: RequestContext,
        scope: Scope,
        receive: Receive,
        send: Send,
        held: Reservation,
    ) -> None:
        request = asyncio.current_task()
        assert request is not None
        link: Link | None = scope["state"].get(STATE)
        if link is not None:
            link.admitted = True
        incoming = Incoming(
            receive=receive,
            held=held,
            max_bytes=self.max_bytes,
            patience=self.patience,
            until=asyncio.get_running_loop().time() + self.patience,
            due=context.deadline,
            drain=context.services.drain,
            request=request,
            link=link,
            context=context,
        )
        try:
            await self.app(scope, incoming, send)
        except asyncio.CancelledError:
            if not incoming.left:
                raise
            request.uncancel()
            context.record.code = "client_gone"
        finally:
            incoming.close()


def share(headers: Headers, client: tuple[str, int] | None) -> str:
    """Return whose share a request counts against, by what they say: a look-up costs more."""
    return credential(headers) or (client[0] if client else "")
