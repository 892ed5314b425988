"""Pure ASGI middleware: answers what nothing else caught."""

from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import dialects
from app.domain.errors import InternalError
from app.telemetry.record import current

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FaultMiddleware:
    """Makes a fault of ours an error like any other.

    It stands within what adds headers to answers: a browser keeps from a page what has none of
    CORS's.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            await self.app(scope, receive, send)
        except Exception:
            record = current()
            log.exception("request failed", request_id=record.request_id)
            scope["state"]["problem"] = InternalError.code
            if record.status:
                raise
            error = InternalError("a fault of this service; its log has more under the request id")
            await dialects.refuse(error, scope, receive, send)
