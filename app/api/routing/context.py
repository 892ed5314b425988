"""The state that a request carries through the middleware to its route."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import Scope

from app.api.routing.headers import Headers, ReadHeaders, RequestHeaders
from app.domain.access import ANONYMOUS, ANONYMOUS_CALL, Call, Caller
from app.domain.cache import NO_WISH
from app.domain.generation import CallContext
from app.domain.guardrail import GuardrailWish, joined
from app.domain.limit import QuotaStatus
from app.services.registry import Services
from app.services.task_runner.request import Notify, Patience, ignored, impatient
from app.telemetry import RequestRecord

CONTEXT = "context"
"""The context's key in a scope's ``state``."""


@dataclass(slots=True)
class RequestContext:
    """The state of one request, which middleware writes and its route reads."""

    services: Services
    id: str
    headers: Headers
    options: ReadHeaders
    record: RequestRecord
    """The request's record, for its log line and the metrics."""
    address: str = ""
    """The client's address."""
    deadline: float = 0
    """The deadline of the answer, in seconds of the event loop's clock."""
    call: Call = ANONYMOUS_CALL
    """The caller, and the scope of the call."""
    quota_statuses: tuple[QuotaStatus, ...] = field(default=())
    """What remains of the caller's quotas."""
    digest: Any = None
    """Running SHA-256 of the body; None if no receipt is wanted."""
    digested: int = 0
    """Number of body bytes in ``digest``."""
    most_pages: int | None = None
    """Maximum pages of a task's documents; None for the limit of requests."""
    patience: Patience = impatient
    """Decides when a task's failed question is asked again; requests never wait, jobs do."""
    on_progress: Notify = ignored
    """Called after each question of a task."""
    answered: bool = False
    """Whether the whole answer was sent."""

    @property
    def lasting_caller(self) -> Caller:
        """The caller of work that is done later; an anonymous caller is known by its address."""
        caller = self.call.caller
        return replace(caller, address=self.address) if caller.id == ANONYMOUS.id else caller

    def call_context(
        self, headers: RequestHeaders, guardrail: GuardrailWish | None = None
    ) -> CallContext:
        """Return the call context: the caller, the deadline and the options.

        ``guardrail`` has the wishes in the dialect's own fields, which are joined with those in the
        header. Raises a RequestError for a wish that can't be granted.
        """
        call_context = CallContext(
            self.call,
            self.address,
            self.deadline,
            headers.second_bill,
            headers.idempotency_key,
            guardrail if headers.guardrail is None else joined(guardrail, headers.guardrail_wish()),
            NO_WISH if headers.cache_control is None else headers.cache_wish(),
        )
        if call_context.guardrail is not None:
            self.services.guardrails.policy(call_context)
        return call_context


def request_context(scope: Scope) -> RequestContext:
    """Return the context of the request in ``scope``."""
    context: RequestContext = scope["state"][CONTEXT]
    return context


async def current_context(request: Request) -> RequestContext:
    """Return the context of ``request``, for routes."""
    return request_context(request.scope)


Context = Annotated[RequestContext, Depends(current_context)]
