"""An endpoint of this service, asked from within it."""

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
"""Takes an event's name and its data, JSON."""


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A POST request that no connection brought."""

    id: str
    """The request's id, as ``X-Request-Id`` has it."""
    path: str
    body: bytes
    """JSON; with a ``value``, what that was read from."""
    caller: Caller
    """The caller whose current rights are checked."""
    seconds: float
    """Until the answer must be there."""
    value: Mapping[str, object] | None = None
    """The body's members, where they were read already: by pydantic's parser, as bodies are."""
    idempotency_key: str | None = None
    completion: Completion | None = None
    """The answer that a batch job gave to the first model call."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers that decide the answer, by names in lower case; the type of ``body``."""
    most_pages: int | None = None
    """Pages of documents that a task may have; None for as many as by HTTP."""
    patience: Patience = impatient
    """Retries the questions of a task that failed although others were answered."""
    paid: PaidAnswers | None = None
    """The answers that earlier attempts have paid for; None where nothing is begun again."""
    on_event: "OnEvent | None" = None
    """Told of what happens on the way, where the operation can tell it."""


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The answer that the endpoint would have sent."""

    status: int
    body: bytes
    usage: WorkUsage = NO_USAGE
    error: ServiceError | None = None
    """The error that ``body`` renders, where it is one."""
    media_type: str = "application/json"


class Endpoint(Protocol):
    """Answers requests as they would be answered by HTTP."""

    async def answer(self, request: EndpointRequest) -> EndpointAnswer:
        """Return the answer; an error is an answer too."""
        ...

    async def capture(self, request: EndpointRequest) -> ModelRequest | None:
        """Return the model request without sending it.

        None where it is not asked, and for an answer that takes more than one call.
        """
        ...

    def unknown_fields(self, path: str, body: Mapping[str, object]) -> list[str]:
        """Return the fields of ``body`` that the endpoint would refuse by their names."""
        ...
