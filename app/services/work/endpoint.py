"""Calls of this service's endpoints from within the service."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.access import Caller
from app.domain.errors import ServiceError
from app.domain.generation import Completion, ModelRequest
from app.domain.work import NO_USAGE, WorkUsage
from app.services.model_stack.paid_answers import PaidAnswers
from app.services.task_runner.request import Patience, impatient

OnEvent = Callable[[str, bytes], Awaitable[None]]
"""Receives an event's name and its JSON data."""


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A POST request that does not come from an HTTP connection."""

    id: str
    """The request id, as in ``X-Request-Id``."""
    path: str
    body: bytes
    """The raw body, usually JSON; the source of ``value`` if that is set."""
    caller: Caller
    """The caller whose current rights are checked."""
    seconds: float
    """The deadline in seconds from now."""
    value: Mapping[str, object] | None = None
    """The body's members if they were already parsed, by pydantic's parser as all bodies are."""
    idempotency_key: str | None = None
    completion: Completion | None = None
    """The answer that a batch job gave to the first model call."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Other headers that affect the answer, by lower-case name, such as ``content-type``."""
    most_pages: int | None = None
    """Maximum document pages of a task; None for the limit of an HTTP request."""
    patience: Patience = impatient
    """Decides when a task's failed question is asked again although others were answered."""
    paid: PaidAnswers | None = None
    """The answers that earlier attempts paid for; None if the request is never attempted again."""
    on_event: "OnEvent | None" = None
    """Receives progress events, if the operation emits any."""


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The endpoint's response."""

    status: int
    body: bytes
    usage: WorkUsage = NO_USAGE
    error: ServiceError | None = None
    """The error rendered in ``body``, or None."""
    media_type: str = "application/json"


class Endpoint(Protocol):
    """Answers requests exactly as the HTTP endpoints do."""

    async def answer(self, request: EndpointRequest) -> EndpointAnswer:
        """Return the response; errors are returned as responses, not raised."""
        ...

    async def capture(self, request: EndpointRequest) -> ModelRequest | None:
        """Return the request that the model would get, without sending it.

        None if the model would not be asked, or more than once.
        """
        ...

    def unknown_fields(self, path: str, body: Mapping[str, object]) -> list[str]:
        """Return the names of fields in ``body`` that the endpoint would refuse as unknown."""
        ...
