"""An ordered list of targets: when one is throttled, ended or failing, the next is tried."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from app.domain import errors
from app.domain.errors import OverloadedError, ServiceError, UpstreamError
from app.domain.generation import Completion, ModelRequest, StreamParts, Target
from app.domain.ports import VisionModel
from app.services.model_stack.retry import RULES

T = TypeVar("T")

log = structlog.get_logger()

# Faults of the caller, which every target would refuse.
_REQUESTS_FAULT = (errors.UpstreamValidationError,)


@dataclass(frozen=True, slots=True)
class FailoverModel:
    """Calls the first target that can answer."""

    targets: Sequence[tuple[Target, VisionModel]]

    def generate(self, request: ModelRequest) -> Coroutine[Any, Any, Completion]:
        """Answer ``request``, or raise the error that says most; see `_telling`."""
        return self._first(request, lambda model: model.generate(request))

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream from the first target that begins to answer."""
        async with AsyncExitStack() as stack:
            yield await self._first(
                request, lambda model: stack.enter_async_context(model.stream(request))
            )

    async def _first(self, request: ModelRequest, ask: Callable[[VisionModel], Awaitable[T]]) -> T:
        raised: list[ServiceError] = []
        for target, model in self.targets:
            try:
                return await ask(model)
            except (UpstreamError, OverloadedError) as error:
                if not _elsewhere(error, second_bill=request.call_context.second_bill):
                    raise
                raised.append(error)
                log.warning("target failed", target=str(target), code=error.code)
        raise _telling(raised)


def _telling(raised: Sequence[ServiceError]) -> ServiceError:
    """Return the error that decides about a retry; else a transient one; else the first.

    Of several, the one with the shortest wait: a target that is left alone or asks for patience
    must not keep the others from being asked again.
    """
    retried = [error for error in raised if type(error) in RULES]
    passing = [error for error in raised if error.retryable]
    return min(retried or passing or raised[:1], key=lambda error: error.retry_after or 0)


def _elsewhere(error: ServiceError, *, second_bill: bool) -> bool:
    if isinstance(error, _REQUESTS_FAULT):
        return False
    return second_bill or not error.billed
