"""Answers from the cache instead of calling the model; equal concurrent questions share one call.

Stands above everything that costs: a hit draws on no quota but requests, and asks no guardrail, as
the answer passed the same policy the first time.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from os import urandom

from app.domain.cache import Place
from app.domain.errors import ImageError
from app.domain.generation import Completion, Delta, Finish, ModelRequest, StreamParts
from app.domain.output import TokenLogprob
from app.domain.ports import VisionModel
from app.services.cache.answers import KeptAnswers
from app.services.cache.entry import Kept, storable, whole
from app.services.cache.terms import CacheTerms
from app.services.concurrency.claim import CLAIM, Claim
from app.services.concurrency.recorded_flight import RecordedFlight
from app.services.concurrency.single_flight import Flight
from app.services.images.pixel_digest import PixelDigests
from app.services.model_stack import batch_answers
from app.telemetry import current
from app.telemetry.metrics import CACHE_LOOKUPS, CACHE_SAVED


class _LeftError(Exception):
    """The client of a streamed answer left before its end."""


@dataclass(frozen=True, slots=True)
class AnswerCacheModel:
    """Answers from the cache, and caches new answers."""

    inner: VisionModel
    answers: KeptAnswers
    terms: CacheTerms
    digests: PixelDigests
    holder: str = field(default_factory=lambda: urandom(8).hex())
    """This process's name for its claims."""
    flights: dict[str, Flight[Kept]] = field(default_factory=dict)
    """The answers in progress, by key."""
    claim: float = CLAIM
    """Seconds that a claim lasts."""

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` from the cache, or as ``inner`` does."""
        place = await self._place(request)
        if place is None:
            return await self.inner.generate(request)
        if request.call_context.cache.fresh:
            return await self._fresh(request, place)
        if batch_answers.captures() and await self._kept(request, place) is None:
            # This request only captures its question, so nobody may wait for its answer.
            return await self.inner.generate(request)
        while True:
            kept = await self._kept(request, place)
            if kept is not None:
                return self._again(kept)
            with contextlib.suppress(_LeftError):
                flight = self.flights.get(place.key)
                if flight is not None:
                    return self._again(await self._joined(flight, place), "joined")
                return (await self._led(request, place)).completion

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Stream ``request`` from the cache, or as ``inner`` does."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        place = await self._place(request)
        if place is None:
            async with self.inner.stream(request) as parts:
                yield parts
            return
        kept = None if request.call_context.cache.fresh else await self._found(request, place)
        if kept is not None:
            yield _replayed(kept)
            return
        answer: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        flight = Flight(answer, lasting=True)
        led = self.flights.setdefault(place.key, flight) is flight
        claimed = led and not request.call_context.cache.fresh
        stream = self.inner.stream(request)
        async with self._claimed(place) if claimed else contextlib.nullcontext():
            try:
                parts = await _entered(stream, answer)
                try:
                    yield self._watched(parts, place, request, answer)
                finally:
                    await stream.__aexit__(None, None, None)
            finally:
                _fail(answer, _LeftError())
                if led:
                    self._forget(place, flight)

    async def _found(self, request: ModelRequest, place: Place) -> Kept | None:
        """Return a cached answer or another request's; None if this request has to make it."""
        while True:
            kept = await self._kept(request, place)
            flight = self.flights.get(place.key)
            if kept is None and flight is not None:
                with contextlib.suppress(_LeftError):
                    kept = await self._joined(flight, place)
                    self._count(kept, "joined")
                    return kept
                continue
            if kept is None and self.answers.store.shared:
                kept = await self._others_answer(request, place)
                if kept is None and place.key in self.flights:
                    continue
            self._count(kept, "miss" if kept is None else "hit")
            return kept

    async def _watched(
        self,
        parts: AsyncIterator[StreamParts],
        place: Place,
        request: ModelRequest,
        answer: "asyncio.Future[Kept]",
    ) -> AsyncIterator[StreamParts]:
        pieces: list[tuple[str, int]] = []
        scores: list[TokenLogprob] = []
        async for arrived in parts:
            for part in arrived:
                if isinstance(part, Delta):
                    pieces.append((part.text, len(part.logprobs)))
                    scores += part.logprobs
            last = arrived[-1]
            if isinstance(last, Finish):
                kept = Kept(_completion(last, pieces, scores), tuple(pieces), time.time())
                await self._keep(request, place, kept)
                if not answer.done():
                    answer.set_result(kept)
            yield arrived

    async def _place(self, request: ModelRequest) -> Place | None:
        """Return the answer's place in the cache; None if the cache is not used."""
        if not self.terms.allow(request):
            return None
        images = [image for turn in request.turns for image in turn.images]
        try:
            pixels = [await self.digests.digest(image) for image in images]
        except ImageError:
            return None
        return self.terms.place(request, pixels)

    async def _kept(self, request: ModelRequest, place: Place) -> Kept | None:
        context = request.call_context
        kept = await self.answers.find(place, self.terms.owner(context))
        oldest = context.cache.max_age
        if kept is None or oldest is None or time.time() - kept.made <= oldest:
            return kept
        return None

    async def _keep(self, request: ModelRequest, place: Place, kept: Kept) -> None:
        if storable(kept.completion):
            await self.answers.keep(place, self.terms.owner(request.call_context), kept)

    async def _fresh(self, request: ModelRequest, place: Place) -> Completion:
        self.answers.metrics.count(CACHE_LOOKUPS, outcome="fresh")
        completion = await self.inner.generate(request)
        await self._keep(request, place, whole(completion, time.time()))
        return completion

    async def _led(self, request: ModelRequest, place: Place) -> Kept:
        """Make the answer for all who wait, as long as anyone does."""

        async def work() -> Kept:
            try:
                return await self._made(request, place)
            finally:
                self._forget(place, flight)

        flight = self.flights[place.key] = RecordedFlight(work)
        return await self._joined(flight, place)

    async def _joined(self, flight: Flight[Kept], place: Place) -> Kept:
        try:
            return await flight.join()
        finally:
            if flight.over:
                # Removed at once: no new request may join work that is being cancelled.
                self._forget(place, flight)

    async def _made(self, request: ModelRequest, place: Place) -> Kept:
        """Return the answer that another process makes, or call the model."""
        if self.answers.store.shared:
            kept = await self._others_answer(request, place)
            if kept is not None:
                return self._replay(kept)
        self.answers.metrics.count(CACHE_LOOKUPS, outcome="miss")
        async with self._claimed(place):
            kept = whole(await self.inner.generate(request), time.time())
            await self._keep(request, place, kept)
            return kept

    def _claim(self, place: Place) -> Claim:
        take = partial(self.answers.claim, place, self.holder, self.claim)
        return Claim(take, partial(self.answers.release, place, self.holder), self.claim)

    async def _others_answer(self, request: ModelRequest, place: Place) -> Kept | None:
        """Return the answer that another process makes; None if this process has the claim."""
        return await self._claim(place).others_answer(partial(self._kept, request, place))

    @asynccontextmanager
    async def _claimed(self, place: Place) -> AsyncIterator[None]:
        """Hold this process's claim while the answer is made, and release it at the end."""
        if not self.answers.store.shared:
            yield
            return
        async with self._claim(place).renewed():
            yield

    def _forget(self, place: Place, flight: Flight[Kept]) -> None:
        if self.flights.get(place.key) is flight:
            del self.flights[place.key]

    def _again(self, kept: Kept, outcome: str = "hit") -> Completion:
        self._count(kept, outcome)
        return kept.replayed(time.time())

    def _replay(self, kept: Kept) -> Kept:
        return Kept(self._again(kept), kept.pieces, kept.made)

    def _count(self, kept: Kept | None, outcome: str) -> None:
        metrics = self.answers.metrics
        metrics.count(CACHE_LOOKUPS, outcome=outcome)
        if kept is None:
            return
        current().answers_cached += 1
        cost = kept.completion.usage.cost
        metrics.count(CACHE_SAVED, 0 if cost is None else cost.total)


def _completion(
    finish: Finish, pieces: list[tuple[str, int]], scores: list[TokenLogprob]
) -> Completion:
    return Completion(
        "".join([text for text, _ in pieces]),
        finish.usage,
        finish.stop_reason,
        finish.stop_reason_raw,
        finish.latency_ms,
        finish.target,
        finish.stop_sequence,
        tuple(scores) or None,
        finish.guardrail,
    )


async def _replayed(kept: Kept) -> AsyncIterator[StreamParts]:
    record = current()
    record.stream = "completed"
    for parts in kept.parts(time.time()):
        yield parts


async def _entered(
    stream: AbstractAsyncContextManager[AsyncIterator[StreamParts]], answer: "asyncio.Future[Kept]"
) -> AsyncIterator[StreamParts]:
    """Enter the call; an error is raised for all who wait for its answer."""
    try:
        return await stream.__aenter__()
    except BaseException as error:
        _fail(answer, error)
        raise


def _fail(answer: "asyncio.Future[Kept]", error: BaseException) -> None:
    """Raise an error for those who wait for a stream's answer."""
    if not answer.done():
        answer.set_exception(error if isinstance(error, Exception) else _LeftError())
