"""The quota that a request is charged, depending on how far its calls came."""

import asyncio

import pytest

from app.adapters.bedrock.token_counter import ByteBound
from app.adapters.stores.rate_limiter import open_limiter
from app.domain.access import ANONYMOUS_CALL, Resource
from app.domain.cost import Price, Pricing, UnitPrice
from app.domain.errors import (
    ModelThrottledError,
    RateLimitedError,
    ServiceError,
    UpstreamTimeoutError,
)
from app.domain.generation import Completion, ModelRequest, Role, StopReason, Target, Turn
from app.domain.image import ImageType, PreparedImage
from app.domain.limit import MICRO
from app.domain.model import Dialect
from app.domain.token import TokenCount
from app.domain.usage import Usage
from app.services.access.limits import Limits
from app.services.model_stack.metering import MeteringModel
from app.services.model_stack.quota import QuotaModel
from app.services.model_stack.retry import RULES
from app.telemetry.metrics import Metrics
from tests.support.fakes.ports import FakeVisionModel

TARGET = Target("us-west-2", "m", Dialect.INVOKE)


class Waiting:
    """Never answers."""

    async def generate(self, request: ModelRequest) -> Completion:
        await asyncio.Event().wait()
        raise AssertionError


class Endless:
    """Never finishes counting a prompt."""

    async def count(self, request: ModelRequest) -> TokenCount:
        await asyncio.Event().wait()
        raise AssertionError


class Scripted:
    """Raises the given errors in turn, and answers the last call."""

    def __init__(self, *errors: ServiceError) -> None:
        self.errors = list(errors)

    async def generate(self, request: ModelRequest) -> Completion:
        if self.errors:
            raise self.errors.pop(0)
        return Completion("", Usage(3, 4), StopReason.STOP, "stop")


class Again:
    """Calls until there is no error, then waits."""

    def __init__(self, inner: MeteringModel, calls: int) -> None:
        self.inner, self.calls = inner, calls

    async def generate(self, request: ModelRequest) -> Completion:
        for _ in range(self.calls):
            with pytest.raises(ServiceError):
                await self.inner.generate(request)
        return await Waiting().generate(request)


async def kept(model, *, cut: bool = True) -> int:
    """Return the tokens charged for one call of ``model`` that was cancelled."""
    async with open_limiter(None) as limiter:
        limits = Limits(limiter, {"tokens": "10000/hour"}, Metrics())
        rationed = QuotaModel(model, limits, ByteBound(), None)
        asking = asyncio.create_task(rationed.generate(ModelRequest((Turn(Role.USER, "one two"),))))
        if cut:
            await asyncio.sleep(0.02)
            asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        (status,) = await limits.take(ANONYMOUS_CALL, Resource.TOKENS, 1)
    return 9999 - status.remaining


def metered(model, price: Pricing | None = None) -> MeteringModel:
    return MeteringModel(model, TARGET, price)


async def test_a_call_cancelled_in_the_queue_returns_its_whole_reservation():
    assert await kept(Waiting()) == 0


async def test_a_call_cancelled_while_its_tokens_are_counted_returns_its_tiles():
    picture = PreparedImage(b"", ImageType.PNG, 1000, 1000)
    async with open_limiter(None) as limiter:
        limits = Limits(limiter, {"tiles": "100/hour", "tokens": "10000/hour"}, Metrics())
        rationed = QuotaModel(FakeVisionModel(), limits, Endless(), None)
        asking = asyncio.create_task(
            rationed.generate(ModelRequest((Turn(Role.USER, "?", (picture,)),)))
        )
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        (status,) = await limits.take(ANONYMOUS_CALL, Resource.TILES, 1)

    assert status.remaining == 99


async def test_a_call_cancelled_in_progress_keeps_its_reservation():
    assert await kept(metered(Waiting())) > 512


async def test_a_refused_call_returns_its_reservation_even_while_waiting_to_retry():
    refused = Again(metered(Scripted(ModelThrottledError("later"))), 1)

    assert await kept(refused) == 0


async def test_a_timed_out_call_stays_charged_whatever_the_next_attempt_does():
    late = Scripted(UpstreamTimeoutError("late"), ModelThrottledError("later"))

    assert await kept(Again(metered(late), 2)) > 512


async def test_an_answer_is_charged_what_it_used():
    assert await kept(metered(Scripted()), cut=False) == 7


DOLLAR = Price(0, 1e6 / 4)
"""A price at which each answer of `Scripted` costs a dollar."""


async def spent(first: Pricing | None, answering: Pricing | None) -> float:
    """Return the dollars charged when the answering target has the price ``answering``."""
    async with open_limiter(None) as limiter:
        limits = Limits(limiter, {"spend": "1000/hour"}, Metrics())
        model = QuotaModel(metered(Scripted(), answering), limits, ByteBound(), first)
        await model.generate(ModelRequest((Turn(Role.USER, "?"),)))
        (status,) = await limits.take(ANONYMOUS_CALL, Resource.SPEND, 1)
    return round(1000 - status.remaining / MICRO, 4)


@pytest.mark.parametrize("first", [DOLLAR, UnitPrice(0.0785, 2), UnitPrice(0.0785), None])
async def test_the_price_of_the_answering_target_is_charged(first):
    assert await spent(first, DOLLAR) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("price", [UnitPrice(0.0785), None])
async def test_a_call_without_a_known_price_spends_nothing(price):
    assert await spent(price, price) == pytest.approx(0, abs=1e-4)


async def test_an_exhausted_quota_refuses_calls_of_unknown_price():
    async with open_limiter(None) as limiter:
        limits = Limits(limiter, {"spend": "1/hour"}, Metrics())
        await limits.take(ANONYMOUS_CALL, Resource.SPEND, MICRO)
        with pytest.raises(RateLimitedError):
            await QuotaModel(FakeVisionModel(), limits, ByteBound(), None).generate(
                ModelRequest((Turn(Role.USER, "?"),))
            )


async def test_an_abandoned_stream_is_charged_its_share_of_the_window():
    price = UnitPrice(1, 1)
    async with open_limiter(None) as limiter:
        limits = Limits(limiter, {"spend": "1000/hour"}, Metrics())
        model = QuotaModel(
            MeteringModel(FakeVisionModel(), TARGET, price), limits, ByteBound(), price
        )
        async with model.stream(ModelRequest((Turn(Role.USER, "?"),))) as parts:
            await anext(parts)
        (status,) = await limits.take(ANONYMOUS_CALL, Resource.SPEND, 1)

    assert 1000 - status.remaining / MICRO < price.window_cost / 2


def test_quotas_retries_and_fallbacks_agree_on_what_may_be_billed():
    ruled = {error: rule.billed for error, rule in RULES.items()}

    assert ruled == {error: error.billed for error in RULES}
