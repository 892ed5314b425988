"""An endpoint of this service, asked from within it."""

from dataclasses import dataclass
from typing import Protocol

from app.domain.access import Caller
from app.domain.errors import ServiceError
from app.domain.work import NO_USAGE, WorkUsage


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A POST request that no connection brought."""

    id: str
    """The request's id, as ``X-Request-Id`` has it."""
    path: str
    body: bytes
    """JSON."""
    caller: Caller
    """Whose rights are checked, as they are now."""
    seconds: float
    """Until the answer must be there."""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """What the endpoint would have sent."""

    status: int
    body: bytes
    usage: WorkUsage = NO_USAGE
    error: ServiceError | None = None
    """The error that ``body`` renders, where it is one."""


class Endpoint(Protocol):
    """Answers requests as they would be answered by HTTP."""

    async def answer(self, request: EndpointRequest) -> EndpointAnswer:
        """Return the answer; an error is an answer too."""
        ...

    def scope_missing(self, caller: Caller, path: str) -> ServiceError | None:
        """Return why ``caller`` may not ask ``path``, None where it may."""
        ...
