"""Pure ASGI middleware: the checks before a request reaches a route.

They run in this order, so that refusals are cheap: the request's origin and host, the admission
queue, the caller's authentication and authorisation, the declared length of the body. Only then is
the body read, and memory is reserved for it as it arrives. Every wait ends at the request's
deadline.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import dialects
from app.api.pipeline.authorization import Gatekeeper
from app.api.pipeline.callers import Callers
from app.api.pipeline.connection import CHANNEL, RequestChannel
from app.api.pipeline.deadline import deadline
from app.api.pipeline.provenance import Provenance
from app.api.pipeline.request_body import BodyTiming, BoundedReceive, too_large
from app.api.routing.context import RequestContext, request_context
from app.api.routing.headers import Headers
from app.domain.errors import ServiceError
from app.services.concurrency.admission_queue import AdmissionQueue
from app.services.concurrency.budget import Reservation
from app.services.concurrency.deadline import Wait

WINDOW = 1024 * 1024
"""Bytes of memory reserved for a body that is streamed to its route."""
FREE = ("GET", "HEAD", "OPTIONS")
"""Methods that skip the queue: they are cheap, and needed most when other requests are refused."""


@dataclass(frozen=True, slots=True)
class AdmissionMiddleware:
    """Admits or refuses requests, and cancels those whose clients leave."""

    app: ASGIApp
    queue: AdmissionQueue
    gatekeeper: Gatekeeper
    callers: Callers
    provenance: Provenance
    max_bytes: int
    """Maximum body size; also reserved for bodies without Content-Length until they are read."""
    timing: BodyTiming
    streamed: Mapping[str, int] = field(default_factory=dict)
    """Maximum body size of the paths whose bodies are streamed to the route."""
    direct_uploads: bool = False
    """Whether files can be uploaded directly to the store."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = request_context(scope)
        services = context.services
        most = self.streamed.get(_path(scope))
        request = services.timing.request if most is None else services.timing.longest
        context.deadline = deadline(context.options.values, request, services.timing.longest)
        within = services.drain.before(context.deadline)
        caller = self.callers.share(context.headers, context.address)
        free = scope["method"] in FREE
        try:
            self.provenance.check(scope["method"], context.headers)
            if not free:
                await self.queue.enter(caller, within)
        except ServiceError as error:
            await _refuse(error, scope, receive, send)
            return
        try:
            await self._inside(context, scope, receive, send, within, caller, most)
        finally:
            if not free:
                self.queue.leave(caller)

    async def _inside(
        self,
        context: RequestContext,
        scope: Scope,
        receive: Receive,
        send: Send,
        within: Wait,
        caller: str,
        most: int | None,
    ) -> None:
        services = context.services
        try:
            if services.operations.remote:
                async with within:
                    await self.gatekeeper.admit(context, scope)
            else:
                # Nothing is waited for, and a timer would cost every request.
                await self.gatekeeper.admit(context, scope)
            expected = self._expected(context.headers, self.max_bytes if most is None else most)
        except ServiceError as error:
            await _refuse(error, scope, receive, send)
            return
        if caller == context.address and context.record.caller is not None:
            self.callers.note(context.headers)
        held = services.room.open(context.record.share, expected if most is None else WINDOW)
        try:
            if most is not None and not await _held(held, within, scope, receive, send):
                return
            await self._watched(context, scope, receive, send, held, most)
        finally:
            held.release()

    def _expected(self, headers: Headers, most: int) -> int:
        """Return the expected bytes of the body, at most ``most``. Raises BodyTooLargeError."""
        if b"transfer-encoding" in headers:
            return most
        length = headers.get(b"content-length", b"0")
        declared = int(length) if length.isdigit() else 0
        if declared > most:
            raise too_large(most, direct_uploads=self.direct_uploads and most == self.max_bytes)
        return declared

    async def _watched(
        self,
        context: RequestContext,
        scope: Scope,
        receive: Receive,
        send: Send,
        held: Reservation,
        streamed: int | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        request = asyncio.current_task(loop)
        assert request is not None
        channel: RequestChannel | None = scope["state"].get(CHANNEL)
        if channel is not None and streamed is None:
            channel.held = held
        bounded = BoundedReceive(
            receive=receive,
            held=held,
            max_bytes=self.max_bytes if streamed is None else streamed,
            timing=self.timing if streamed is None else replace(self.timing, whole=math.inf),
            begun=loop.time(),
            due=context.deadline,
            drain=context.services.drain,
            request=request,
            channel=channel,
            context=context,
            streamed=streamed is not None,
            direct_uploads=self.direct_uploads and streamed is None,
        )
        try:
            await self.app(scope, bounded, send)
        except asyncio.CancelledError:
            if not bounded.left:
                raise
            request.uncancel()
            context.record.code = "client_gone"
        finally:
            bounded.close()


async def _refuse(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    channel: RequestChannel | None = scope["state"].get(CHANNEL)
    if channel is not None:
        channel.refuse()
    await dialects.refuse(error, scope, receive, send)


async def _held(
    held: Reservation, within: Wait, scope: Scope, receive: Receive, send: Send
) -> bool:
    """Reserve memory for a streamed body, or refuse the request and return False."""
    try:
        if not held.grow_to(WINDOW):
            await held.wait_for(WINDOW, within)
    except ServiceError as error:
        await _refuse(error, scope, receive, send)
        return False
    return True


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
