"""The state that one request carries through the middleware to its route."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import Scope

from app.api.routing.headers import Headers, ReadHeaders, RequestHeaders
from app.domain.access import ANONYMOUS_CALL, Call
from app.domain.generation import CallContext
from app.domain.limit import QuotaStatus
from app.services.registry import Services
from app.telemetry import RequestRecord

STATE = "context"
"""The context's key in a scope's ``state``."""


@dataclass(slots=True)
class RequestContext:
    """One request: written by the middleware it passes, read by its route."""

    services: Services
    id: str
    headers: Headers
    options: ReadHeaders
    record: RequestRecord
    """The request's record, for its log line and the metrics."""
    address: str = ""
    """The client's."""
    deadline: float = 0
    """The time at which the answer becomes worthless, in seconds of the event loop's clock."""
    call: Call = ANONYMOUS_CALL
    """The caller, and the use that is made of the service."""
    quota_statuses: tuple[QuotaStatus, ...] = field(default=())
    """The rest of the caller's quotas."""
    digest: Any = None
    """SHA-256 of the body as far as it was read; None where no receipt is wanted."""
    digested: int = 0
    """Bytes of the body in ``digest``."""
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
