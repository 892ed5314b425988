"""Answers with a Bedrock batch job's results instead of calls.

A row of a batch goes the way of every request twice: once to capture its question to the model
(`capturing`), and once with the batch job's answer (`answering`). So its result is the endpoint's
own, and a question that the job did not answer is asked by a call.
"""

from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from app.domain.cost import Pricing
from app.domain.generation import Completion, ModelRequest, StreamParts, Target
from app.domain.ports import VisionModel
from app.services.model_stack.metering import MeteringModel


class CapturedError(Exception):
    """Ends a request once its question to the model is known; it is never rendered."""


@dataclass(slots=True)
class Capture:
    """The question to the model, once it is known."""

    request: ModelRequest | None = None


@dataclass(slots=True)
class BatchAnswer:
    """The answer to the first call of a request."""

    completion: Completion | None


_carried: ContextVar[Capture | BatchAnswer | None] = ContextVar("batch_answer", default=None)


@contextmanager
def capturing() -> Iterator[Capture]:
    """Make the first call of the block raise CapturedError, and capture its request."""
    capture = Capture()
    token = _carried.set(capture)
    try:
        yield capture
    finally:
        _carried.reset(token)


def captures() -> bool:
    """Return whether the request only captures its question to the model."""
    return isinstance(_carried.get(), Capture)


@contextmanager
def answering(completion: Completion | None) -> Iterator[None]:
    """Answer the first call of the block with ``completion``, if there is one."""
    token = _carried.set(None if completion is None else BatchAnswer(completion))
    try:
        yield
    finally:
        _carried.reset(token)


@dataclass(frozen=True, slots=True)
class _OneAnswer:
    """A model with a single answer."""

    completion: Completion

    async def generate(self, request: ModelRequest) -> Completion:  # noqa: ARG002 - the port's
        return self.completion

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class BatchedModel:
    """Passes on the questions that no batch job has answered. It stands above retries."""

    inner: VisionModel
    target: Target
    """The target of batch jobs."""
    price: Pricing | None

    def generate(self, request: ModelRequest) -> Coroutine[Any, Any, Completion]:
        """Answer as the batch job did, else as ``inner`` does."""
        carried = _carried.get()
        return self.inner.generate(request) if carried is None else self._carry(carried, request)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does: no batch job streams."""
        return self.inner.stream(request)

    async def _carry(self, carried: Capture | BatchAnswer, request: ModelRequest) -> Completion:
        if isinstance(carried, Capture):
            carried.request = request
            raise CapturedError
        if carried.completion is None:
            return await self.inner.generate(request)
        # The answer is the first call's; later calls repair it.
        completion, carried.completion = carried.completion, None
        # Counted and priced where calls are: this was one.
        metered = MeteringModel(_OneAnswer(completion), self.target, self.price)
        return await metered.generate(request)
