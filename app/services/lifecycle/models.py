"""Warns callers before a model's end, and lets successors answer after it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog

from app.domain.errors import ModelEndOfLifeError, ServiceError
from app.domain.generation import (
    CallContext,
    Completion,
    Finish,
    ModelRequest,
    Role,
    Sampling,
    StreamParts,
    Target,
    Turn,
)
from app.domain.image import AnswerWarning
from app.domain.ports import VisionModel
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.telemetry.metrics import SUCCESSOR, Metrics

T = TypeVar("T")

log = structlog.get_logger()

PROOF_SECONDS = 60
"""Maximum seconds of a successor's first call."""
PAUSE = 30
"""Seconds for which one that did not answer is left alone: each call may be paid for, and callers
wait for it one after another."""
SUCCESSOR_CODE = "successor_serving"


@dataclass(frozen=True, slots=True)
class LifecycleModel:
    """A target whose answers say when its model ends, once a day for each caller."""

    inner: VisionModel
    target: Target
    sentinel: LifecycleSentinel

    def generate(self, request: ModelRequest) -> Coroutine[Any, Any, Completion]:
        """Answer as ``inner`` does."""
        # No layer around the answer for a caller who was warned today, as almost all were.
        if self.sentinel.silent(self.target, request.call_context.caller):
            return self.inner.generate(request)
        return self._generate(request)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does."""
        if self.sentinel.silent(self.target, request.call_context.caller):
            return self.inner.stream(request)
        return self._stream(request)

    async def _generate(self, request: ModelRequest) -> Completion:
        completion = await self.inner.generate(request)
        return _warned(completion, self._warnings(request))

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        async with self.inner.stream(request) as parts:
            yield _warned_parts(parts, lambda: self._warnings(request))

    def _warnings(self, request: ModelRequest) -> tuple[AnswerWarning, ...]:
        return self.sentinel.warnings(self.target, request.call_context.caller)


@dataclass(slots=True)
class Link:
    """A model in the chain: the configured one with its fallbacks, or a successor."""

    targets: tuple[Target, ...]
    model: VisionModel
    refused_until: float = 0
    """Loop time before which no other proving call is made."""


@dataclass(slots=True)
class SuccessorModel:
    """Calls the first link until Bedrock has ended it, then the next one that answers."""

    links: Sequence[Link]
    """The configured model first."""
    sentinel: LifecycleSentinel
    metrics: Metrics
    serving: int = 0
    """The link that answers."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.sentinel.reviews.append(self.review)
        for index in range(1, len(self.links)):
            self._show(index)

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request``, or raise the last link's error."""
        index, completion = await self._asked(lambda model: model.generate(request))
        return _warned(completion, self._warnings(index))

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream from the link that serves."""
        async with AsyncExitStack() as stack:
            index, parts = await self._asked(
                lambda model: stack.enter_async_context(model.stream(request))
            )
            yield _warned_parts(parts, lambda: self._warnings(index))

    async def review(self) -> None:
        """Return to an earlier link that is available again, as after its end was postponed."""
        for index in range(self.serving):
            if not self._ended(index) and await self._proves(index):
                log.warning("earlier model serves again", model=str(self.links[index].targets[0]))
                self._serve(index)
                return

    async def _asked(self, ask: Callable[[VisionModel], Awaitable[T]]) -> tuple[int, T]:
        index = self.serving
        if self._ended(index):
            index = await self._after(index, None)
        while True:
            try:
                return index, await ask(self.links[index].model)
            except ModelEndOfLifeError as error:
                index = await self._after(index, error)

    async def _after(self, index: int, error: ModelEndOfLifeError | None) -> int:
        """Return the next link that serves, or ``index`` if there is none."""
        async with self._turn:
            if self.serving > index:
                return self.serving
            for following in range(index + 1, len(self.links)):
                if self._may_serve(following) and await self._proves(following):
                    log.error(
                        "successor serves",
                        model=str(self.links[following].targets[0]),
                        instead_of=str(self.links[0].targets[0]),
                    )
                    self._serve(following)
                    return following
        if error is not None:
            raise error
        return index

    async def _proves(self, index: int) -> bool:
        """Make a minimal call, and return whether it was answered."""
        link = self.links[index]
        deadline = asyncio.get_running_loop().time() + PROOF_SECONDS
        request = ModelRequest(
            turns=(Turn(Role.USER, "Say yes."),),
            sampling=Sampling(max_gen_len=1),
            call_context=CallContext(deadline=deadline),
        )
        try:
            async with asyncio.timeout_at(deadline):
                await link.model.generate(request)
        except (ServiceError, TimeoutError) as error:
            log.warning("link not proved", model=str(link.targets[0]), reason=type(error).__name__)
            link.refused_until = asyncio.get_running_loop().time() + PAUSE
            return False
        return True

    def _may_serve(self, index: int) -> bool:
        now = asyncio.get_running_loop().time()
        return not self._ended(index) and self.links[index].refused_until <= now

    def _ended(self, index: int) -> bool:
        return all(map(self.sentinel.ended, self.links[index].targets))

    def _serve(self, index: int) -> None:
        before, self.serving = self.serving, index
        kind = "successor_serves" if index > before else "model_returns"
        model, instead_of = (str(self.links[link].targets[0]) for link in (index, before))
        self.sentinel.note(kind, {"model": model, "instead_of": instead_of})
        for changed in {before, index} - {0}:
            self._show(changed)

    def _show(self, index: int) -> None:
        target = str(self.links[index].targets[0])
        self.metrics.set(SUCCESSOR, int(index == self.serving), target=target)

    def _warnings(self, index: int) -> tuple[AnswerWarning, ...]:
        if not index:
            return ()
        first, served = self.links[0].targets[0], self.links[index].targets[0]
        return (
            AnswerWarning(
                SUCCESSOR_CODE,
                f"{served.model_id} answered: Bedrock ended {first.model_id}.",
            ),
        )


def _warned(completion: Completion, warnings: tuple[AnswerWarning, ...]) -> Completion:
    if not warnings:
        return completion
    return replace(completion, warnings=(*completion.warnings, *warnings))


async def _warned_parts(
    parts: AsyncIterator[StreamParts], warnings: Callable[[], tuple[AnswerWarning, ...]]
) -> AsyncIterator[StreamParts]:
    async for *before, last in parts:
        if isinstance(last, Finish):
            notices = warnings()
            last = replace(last, warnings=(*last.warnings, *notices)) if notices else last
        yield (*before, last)
