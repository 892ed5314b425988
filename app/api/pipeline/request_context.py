"""Pure ASGI middleware: what surrounds every request: its id, its record, its answer's headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import urandom
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.pipeline import response_headers
from app.api.pipeline.authorization import Headers
from app.api.responses import rate_limit_headers
from app.domain.access import Caller
from app.services.registry import Services
from app.telemetry import RequestRecord, recording
from app.telemetry.tracing import request_span

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def request_id(given: Headers) -> str:
    """Return the caller's ``X-Request-Id`` if it is sane, else a new one."""
    found = given.get(b"x-request-id", b"")
    return found.decode() if _SANE_ID.fullmatch(found) else f"req_{urandom(16).hex()}"


@dataclass(frozen=True, slots=True)
class EnvelopeMiddleware:
    """Gives each request its id and record.

    While the service drains, each connection is closed behind its answer: a request that came
    down a kept one in the moment it is closed would be lost.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        services: Services = state["services"]
        # Of a repeated one the first.
        state["headers"] = given = dict(reversed(scope["headers"]))
        state["request_id"] = identity = request_id(given)
        record = RequestRecord(request_id=identity, method=scope["method"])

        async def send_enveloped(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = response_headers.completed(
                    message.get("headers", ()), _own(state, draining=services.drain.draining)
                )
            elif not message.get("more_body"):
                state["answered"] = True
            await send(message)

        operations = services.operations
        operations.metrics.move("http_server_active_requests", 1)
        with recording(record), request_span(operations.tracer, given, record):
            try:
                await self.app(scope, receive, send_enveloped)
            finally:
                operations.metrics.move("http_server_active_requests", -1)
                _finish(record, scope)
                for sink in operations.sinks:
                    sink(record)


def _own(state: Mapping[str, Any], *, draining: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers that this request's answer has beside those of every answer."""
    found = [(b"x-request-id", state["request_id"].encode())]
    for name, value in rate_limit_headers.headers(state.get("standings", ())).items():
        found.append((name.lower().encode(), value.encode()))
    if draining:
        found.append((b"connection", b"close"))
    return found


def _finish(record: RequestRecord, scope: Scope) -> None:
    state = scope["state"]
    caller: Caller | None = state.get("caller")
    record.route = getattr(scope.get("route"), "path", None)
    record.code = state.get("problem", record.code)
    record.caller = caller.id if caller else None
    record.duration_ms = record.elapsed_ms()
