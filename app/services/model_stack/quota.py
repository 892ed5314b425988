"""Counts tokens, tiles and spend against the caller's quotas before the model is called.

As Bedrock does it: the prompt's tokens and ``max_gen_len`` are reserved, and the unused part is
given back.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from math import ceil

from app.domain.access import Call, Resource
from app.domain.cost import Pricing
from app.domain.generation import Bill, Completion, Finish, ModelRequest, StreamPart, StreamParts
from app.domain.limit import MICRO, QuotaStatus
from app.domain.ports import TokenCounter, VisionModel
from app.domain.usage import UNKNOWN, Usage
from app.services.access.limits import Limits
from app.services.images import canvas
from app.services.usage import pricing

NOTHING = Usage(0, 0)
LEAST = 1
"""Millionths of a dollar that are reserved where the price is unknown: another target, whose price
is known, may answer, and a quota that is used up refuses such calls too."""


@dataclass(slots=True)
class Reservation:
    """The amounts reserved for one call."""

    call: Call
    limits: Limits
    bill: Bill
    taken: dict[Resource, int] = field(default_factory=dict)
    windows: dict[Resource, tuple[QuotaStatus, ...]] = field(default_factory=dict)
    """The windows that each amount was taken from; later windows need no correction."""
    used: Usage = UNKNOWN
    began: float = field(default_factory=time.perf_counter)
    priced: bool = False
    """Whether the maximum cost of the call was known."""

    async def take(self, resource: Resource, amount: int) -> None:
        """Take ``amount``, or raise RateLimitedError."""
        self.windows[resource] = await self.limits.take(self.call, resource, amount)
        self.taken[resource] = amount

    async def give_back(self) -> None:
        """Return all amounts, unless Bedrock may bill the call."""
        if not self.bill.open:
            await self._correct(dict.fromkeys(self.taken, 0))

    async def settle(self, price: Pricing | None) -> None:
        """Correct the reserved amounts to those used, as far as Bedrock reports them."""
        if self.used == NOTHING:
            await self.give_back()
            return
        total = self.used.total_token_count
        # The target that answered has set it, unless the client left before that.
        cost = self.used.cost or pricing.cost(price, self.used, self.began)
        used: dict[Resource, int] = {}
        if total is not None:
            used[Resource.TOKENS] = total
        if cost is not None:
            used[Resource.SPEND] = ceil(cost.total * MICRO)
        elif not self.priced:
            used[Resource.SPEND] = 0
        await self._correct(used)

    async def _correct(self, used: dict[Resource, int]) -> None:
        for resource, amount in used.items():
            if resource in self.taken:
                difference = amount - self.taken[resource]
                self.taken[resource] = amount
                await self.limits.settle(self.call, self.windows[resource], difference)


@dataclass(frozen=True, slots=True)
class QuotaModel:
    """Refuses calls over the caller's quotas with RateLimitedError. Stands above retries."""

    inner: VisionModel
    limits: Limits
    counter: TokenCounter
    price: Pricing | None

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as ``inner`` does."""
        reservation = await self._reserve(request)
        try:
            completion = await self.inner.generate(request)
        except BaseException:
            await reservation.give_back()
            raise
        reservation.used = completion.usage
        await reservation.settle(self.price)
        return completion

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Answer as ``inner`` does."""
        reservation = await self._reserve(request)
        # Until it begins it may be refused; after that its usage is what Bedrock reports.
        reservation.used = NOTHING
        try:
            async with self.inner.stream(request) as parts:
                reservation.used = UNKNOWN
                yield self._watched(parts, reservation)
        finally:
            await reservation.settle(self.price)

    async def _watched(
        self, parts: AsyncIterator[StreamParts], reservation: Reservation
    ) -> AsyncIterator[StreamParts]:
        async for arrived in parts:
            last = arrived[-1]
            reservation.used = _merged(reservation.used, last)
            if isinstance(last, Finish):
                # Before the caller has its answer and may send the next request.
                await reservation.settle(self.price)
            yield arrived

    async def _reserve(self, request: ModelRequest) -> Reservation:
        """Take from every quota; or take nothing and raise RateLimitedError."""
        call = request.call_context.call
        reservation = Reservation(call, self.limits, request.bill)
        images = [image for turn in request.turns for image in turn.images]
        try:
            if images:
                tiles = sum([canvas.choose(image.width, image.height).tiles for image in images])
                await reservation.take(Resource.TILES, tiles)
            quotas = self.limits.quotas
            if quotas(call, Resource.TOKENS) or quotas(call, Resource.SPEND):
                prompt = (await self.counter.count(request)).tokens
                longest = request.sampling.max_gen_len
                await reservation.take(Resource.TOKENS, prompt + longest)
                most = self.price.most(prompt, longest) if self.price else None
                reservation.priced = most is not None
                spend = ceil(most.total * MICRO) if most else LEAST
                await reservation.take(Resource.SPEND, spend)
        except BaseException:
            await reservation.give_back()
            raise
        return reservation


def _merged(seen: Usage, part: StreamPart) -> Usage:
    if isinstance(part, Finish):
        return part.usage
    usage = part.usage
    return replace(
        seen,
        prompt_token_count=usage.prompt_token_count or seen.prompt_token_count,
        generation_token_count=usage.generation_token_count or seen.generation_token_count,
        cost=usage.cost or seen.cost,
    )
