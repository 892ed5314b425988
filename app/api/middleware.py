"""Pure ASGI middleware: the request's id and record, and the bound on its body."""

import asyncio
import re
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems, rendering
from app.domain.access import Caller
from app.domain.errors import BodyTooLargeError, InternalError
from app.services.registry import Operations
from app.telemetry import RequestRecord, recording
from app.telemetry.tracing import request_span

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

log = structlog.get_logger()


def request_id(headers: Headers) -> str:
    """Return the caller's ``X-Request-Id`` if it is sane, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"


def declared_length(scope: Scope) -> int:
    """Return the Content-Length, 0 where there is none."""
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class RequestIdMiddleware:
    """Gives each request its id and record, and answers what nothing else caught."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        operations: Operations = state["services"].operations
        state["request_id"] = request_id(Headers(scope=scope))
        record = RequestRecord(request_id=state["request_id"], method=scope["method"])

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = record.request_id
            await send(message)

        operations.metrics.move("http_server_active_requests", 1)
        with (
            recording(record),
            request_span(operations.tracer, Headers(scope=scope), record),
        ):
            try:
                await self._answered(scope, receive, send_with_id, record)
            finally:
                operations.metrics.move("http_server_active_requests", -1)
                _finish(record, scope)
                for sink in operations.sinks:
                    sink(record)

    async def _answered(
        self, scope: Scope, receive: Receive, send: Send, record: RequestRecord
    ) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception:
            log.exception("request failed", request_id=record.request_id)
            scope["state"]["problem"] = InternalError.code
            if record.status:
                raise
            error = InternalError("a fault of this service; its log has more under the request id")
            await rendering.refuse(error, scope, receive, send)


def _finish(record: RequestRecord, scope: Scope) -> None:
    caller: Caller | None = scope["state"].get("caller")
    record.route = getattr(scope.get("route"), "path", None)
    # A stream's own error came after its status.
    record.code = scope["state"].get("problem", record.code)
    record.caller = caller.id if caller else None
    record.duration_ms = record.elapsed_ms()


@dataclass(frozen=True, slots=True)
class DisconnectMiddleware:
    """Cancels the work on a request whose client has left.

    Neither Starlette nor uvicorn does, and an upstream call that goes on is billed. The
    client can only be watched when its body has been read, so from then on.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = asyncio.current_task()
        assert request is not None
        gone = asyncio.Event()
        watch: asyncio.Task[None] | None = None

        async def watching() -> None:
            # There is no message but the disconnect left.
            await receive()
            gone.set()
            request.cancel()

        async def watched_receive() -> Message:
            nonlocal watch
            if watch is not None:
                await gone.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                watch = asyncio.create_task(watching())
            return message

        try:
            # What has to be left when the response has been sent.
            async with AsyncExitStack() as scope["state"]["stack"]:
                await self.app(scope, watched_receive, send)
        except asyncio.CancelledError:
            if not gone.is_set():
                raise
            request.uncancel()
            scope["state"]["problem"] = "client_gone"
        finally:
            if watch is not None:
                watch.cancel()


@dataclass(frozen=True, slots=True)
class BodyLimitMiddleware:
    """Refuses bodies over a limit, by Content-Length, or while reading where there is none.

    Starlette's own answers in plain text, over whatever the application answered.
    """

    app: ASGIApp
    max_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if declared_length(scope) > self.max_bytes:
            await rendering.refuse(self._error(), scope, receive, send)
            return
        read = 0

        async def receive_within_limit() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_bytes:
                raise problems.RaisedWhileReading(self._error())
            return message

        await self.app(scope, receive_within_limit, send)

    def _error(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body has more than {self.max_bytes:,} bytes")
