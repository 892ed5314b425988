"""Answers that a batch job of Bedrock's gave, in the place of a call.

A row of a batch goes the way of every request twice: once to see what the model is to be asked
(`capturing`), and once with the answer that the batch job had for it (`answering`). So its result
is what the endpoint would have answered, and what the job has no answer for is asked by a call.
"""

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from app.domain.cost import Pricing
from app.domain.generation import Completion, ModelRequest, StreamParts, Target
from app.domain.ports import VisionModel
from app.services.model_stack.metering import MeteringModel


class CapturedError(Exception):
    """Ends a request once it is known what the model is to be asked. Never rendered."""


@dataclass(slots=True)
class _Capture:
    request: ModelRequest | None = None


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What a batch job answered to one request."""

    digest: str
    """Of the request, as `digest` makes it."""
    completion: Completion


_carried: ContextVar[_Capture | GivenAnswer | None] = ContextVar("batch_answer", default=None)


@contextmanager
def capturing() -> Iterator[_Capture]:
    """Have the first call of the block raise CapturedError, and leave its request here."""
    capture = _Capture()
    token = _carried.set(capture)
    try:
        yield capture
    finally:
        _carried.reset(token)


@contextmanager
def answering(given: GivenAnswer | None) -> Iterator[None]:
    """Have the call of the block that asks what ``given`` answers be answered by it."""
    token = _carried.set(given)
    try:
        yield
    finally:
        _carried.reset(token)


def digest(request: ModelRequest) -> str:
    """Return what tells requests apart that may have different answers."""
    outline = (
        [(turn.role, turn.text, len(turn.images)) for turn in request.turns],
        request.system,
        request.sampling,
        request.raw_prompt,
        request.stop,
        request.form,
        request.logprobs,
    )
    found = hashlib.sha256(repr(outline).encode("utf-8", "replace"))
    for turn in request.turns:
        for image in turn.images:
            found.update(hashlib.sha256(image.data).digest())
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class _Given:
    """A model that has one answer."""

    completion: Completion

    async def generate(self, request: ModelRequest) -> Completion:  # noqa: ARG002 - the port's
        return self.completion

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class BatchedModel:
    """Asks ``inner`` what no batch job has answered. Stands above retries."""

    inner: VisionModel
    target: Target
    """The target that batch jobs ask."""
    price: Pricing | None

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as the batch job did, else as ``inner`` does."""
        match _carried.get():
            case None:
                return await self.inner.generate(request)
            case GivenAnswer(wanted, completion):
                if digest(request) != wanted:
                    return await self.inner.generate(request)
                # Counted and priced where calls are: this was one.
                metered = MeteringModel(_Given(completion), self.target, self.price)
                return await metered.generate(request)
            case _Capture() as capture:
                capture.request = request
                raise CapturedError

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does: no batch job streams."""
        async with self.inner.stream(request) as parts:
            yield parts
