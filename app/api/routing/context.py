"""What one request carries through the middleware to its route."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from app.api.routing.headers import Headers, ReadHeaders, RequestHeaders
from app.domain.access import ANONYMOUS_CALL, Call
from app.domain.generation import CallContext
from app.domain.limit import QuotaStatus
from app.services.registry import Services
from app.telemetry import RequestRecord

STATE = "context"
"""Where the context is in a scope's ``state``."""


@dataclass(slots=True)
class RequestContext:
    """One request: written by the middleware it passes, read by its route."""

    services: Services
    id: str
    headers: Headers
    options: ReadHeaders
    record: RequestRecord
    """What the request took, for its log line and the metrics."""
    address: str = ""
    """The client's."""
    deadline: float = 0
    """When the answer is worth nothing any more, in the event loop's time (seconds)."""
    call: Call = ANONYMOUS_CALL
    """Who asks, and for the use of what."""
    quota_statuses: tuple[QuotaStatus, ...] = field(default=())
    """What is left of the caller's quotas."""
    answered: bool = False
    """Whether the whole answer was sent."""

    def call_context(self, headers: RequestHeaders) -> CallContext:
        """Return on whose behalf and on what terms the model is asked."""
        return CallContext(
            self.call, self.address, self.deadline, headers.second_bill, headers.idempotency_key
        )


def request_context(scope: Scope) -> RequestContext:
    """Return the context of the request in ``scope``."""
    context: RequestContext = scope["state"][STATE]
    return context


async def current_context(request: Request) -> RequestContext:
    """Return the context of ``request``, for routes."""
    return request_context(request.scope)


Context = Annotated[RequestContext, Depends(current_context)]
