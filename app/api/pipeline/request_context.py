"""Pure ASGI middleware: opens each request's context and record, and completes the answer."""

import re
from dataclasses import dataclass
from os import urandom

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.pipeline import response_headers
from app.api.responses import rate_limit_headers
from app.api.routing import headers as request_headers
from app.api.routing.context import CONTEXT, RequestContext
from app.api.routing.headers import Headers
from app.services.registry import Services
from app.telemetry import RequestRecord, recording
from app.telemetry.tracing import request_span
from app.telemetry.trail import Trail

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def request_id(headers: Headers) -> str:
    """Return the caller's ``X-Request-Id`` if it is well formed, else a new id."""
    sent = headers.get(b"x-request-id", b"")
    return sent.decode() if _SANE_ID.fullmatch(sent) else f"req_{urandom(16).hex()}"


@dataclass(frozen=True, slots=True)
class RequestContextMiddleware:
    """Gives each request its context, and passes its record to the sinks at the end.

    While the service drains, each connection is closed after its answer, as a request sent on a
    kept connection at the moment it is closed would be lost.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        services: Services = scope["state"]["services"]
        context = _opened(scope, services)
        record = context.record

        async def send_completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = response_headers.completed(
                    message.get("headers", ()), _own(context)
                )
            elif not message.get("more_body"):
                context.answered = True
            await send(message)

        operations = services.operations
        operations.metrics.move("http_server_active_requests", 1)
        with recording(record), request_span(operations.tracer, context.headers, record):
            try:
                await self.app(scope, receive, send_completed)
            finally:
                operations.metrics.move("http_server_active_requests", -1)
                if record.route is None:
                    record.route = getattr(scope.get("route"), "path", None)
                record.duration_ms = record.elapsed_ms()
                for sink in operations.sinks:
                    sink(record)


def _opened(scope: Scope, services: Services) -> RequestContext:
    headers = request_headers.by_name(scope["headers"])
    identity, client = request_id(headers), scope.get("client")
    address = client[0] if client else ""
    context = scope["state"][CONTEXT] = RequestContext(
        services,
        identity,
        headers,
        request_headers.read(headers),
        RequestRecord(
            identity, scope["method"], share=address, trail=Trail() if services.proving else None
        ),
        address,
    )
    return context


def _own(context: RequestContext) -> list[tuple[bytes, bytes]]:
    """Return the headers that belong to this request's answer: id, quotas, connection."""
    own = [(b"x-request-id", context.id.encode())]
    if context.quota_statuses:
        for name, value in rate_limit_headers.headers(context.quota_statuses).items():
            own.append((name.lower().encode(), value.encode()))
    if context.services.drain.draining:
        own.append((b"connection", b"close"))
    return own
