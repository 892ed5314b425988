"""Gives an interrupted piece of work its paid answers when it is begun again.

Stands above everything that costs, the answer cache included: a paid answer draws on no quota,
asks no guardrail and no model. Only work that keeps its answers is affected (`keeping`).
"""

from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.ports import VisionModel
from app.domain.work import NO_USAGE, WorkUsage
from app.services.cache.key import answer_key
from app.telemetry import RequestRecord, current, recording
from app.telemetry.trail import Facts, Trail


@dataclass(frozen=True, slots=True)
class PaidAnswer:
    """The model's answer to one question, with its usage and its trail."""

    completion: Completion
    usage: WorkUsage = NO_USAGE
    calls: list[Facts] = field(default_factory=list)
    verdicts: list[Facts] = field(default_factory=list)


class PaidAnswers(Protocol):
    """The answers of one piece of work. Failures to store or find one are not raised."""

    async def take(self, key: str) -> PaidAnswer | None:
        """Return an answer of an earlier attempt to the question ``key``, each answer once."""
        ...

    async def keep(self, key: str, answer: PaidAnswer) -> None:
        """Keep an answer for later attempts."""
        ...


_kept: ContextVar[PaidAnswers | None] = ContextVar("paid_answers", default=None)


@contextmanager
def keeping(answers: PaidAnswers | None) -> Iterator[None]:
    """Make the calls of the block take their answers from ``answers``, and store new ones there."""
    token = _kept.set(answers)
    try:
        yield
    finally:
        _kept.reset(token)


@dataclass(frozen=True, slots=True)
class PaidAnswersModel:
    """Passes on the questions that the running piece of work has no answer for."""

    inner: VisionModel

    def generate(self, request: ModelRequest) -> Coroutine[Any, Any, Completion]:
        """Return the answer of an earlier attempt, or answer as ``inner`` does."""
        kept = _kept.get()
        return self.inner.generate(request) if kept is None else self._once(kept, request)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does: work that is begun again streams nothing."""
        return self.inner.stream(request)

    async def _once(self, kept: PaidAnswers, request: ModelRequest) -> Completion:
        key = _key(request)
        paid = await kept.take(key)
        if paid is None:
            paid = await self._asked(request)
            await kept.keep(key, paid)
            return paid.completion
        trail = current().trail
        if trail is not None:
            trail.add(Trail(paid.calls, verdicts=paid.verdicts), shared=True)
        return paid.completion

    async def _asked(self, request: ModelRequest) -> PaidAnswer:
        asker = current()
        trail = None if asker.trail is None else Trail()
        record = RequestRecord(tracer=asker.tracer, share=asker.share, trail=trail)
        try:
            with recording(record):
                completion = await self.inner.generate(request)
        finally:
            asker.add(record)
        calls, verdicts = (trail.calls, trail.verdicts) if trail else ([], [])
        return PaidAnswer(completion, record.usage, calls, verdicts)


def _key(request: ModelRequest) -> str:
    """Return a key that distinguishes the questions of one caller's work."""
    pictures = [image.sha256 for turn in request.turns for image in turn.images]
    return answer_key("work", request, model="", pixels=pictures, policy="")
