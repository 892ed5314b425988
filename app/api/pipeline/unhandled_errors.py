"""Pure ASGI middleware: answers unhandled exceptions."""

from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import dialects
from app.api.routing.context import request_context
from app.domain.errors import InternalError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UnhandledErrorMiddleware:
    """Logs an unhandled exception, and answers it like any other error.

    It stands inside the middleware that adds headers, as browsers hide answers without CORS headers
    from pages.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            context = request_context(scope)
            log.exception("request failed", request_id=context.id)
            if context.answered:
                # The framework has answered through `dialects`, and raises the exception
                # nevertheless.
                return
            if context.record.status:
                context.record.code = InternalError.code
                raise
            await dialects.response(error, scope)(scope, receive, send)
