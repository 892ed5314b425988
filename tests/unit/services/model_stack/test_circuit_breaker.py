"""The circuit breaker of a target; one probe decides whether it has recovered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from app.domain import errors
from app.domain.generation import Completion, ModelRequest, Role, StreamParts, Turn
from app.services.model_stack.circuit_breaker import Breaker, BreakerState, CircuitBreakerModel
from tests.support.fakes.ports import FakeVisionModel

REQUEST = ModelRequest((Turn(Role.USER, "Why?"),))
FAILED = errors.UpstreamUnavailableError("down")
AT_ONCE = 0
NEVER = 1e9


@dataclass
class SlowModel:
    """Answers when released."""

    inner: FakeVisionModel = field(default_factory=FakeVisionModel)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, request: ModelRequest) -> Completion:
        await self.go.wait()
        return await self.inner.generate(request)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        await self.go.wait()
        async with self.inner.stream(request) as parts:
            yield parts


async def fail(model: CircuitBreakerModel, times: int) -> None:
    for _ in range(times):
        with suppress(errors.UpstreamError):
            await model.generate(REQUEST)


async def test_after_consecutive_failures_calls_are_refused_without_being_made():
    fake = FakeVisionModel(failing=FAILED)
    model = CircuitBreakerModel(fake, Breaker(threshold=3, reset=NEVER))
    await fail(model, 3)

    with pytest.raises(errors.CircuitOpenError) as refused:
        await model.generate(REQUEST)
    with pytest.raises(errors.CircuitOpenError):
        async with model.stream(REQUEST):
            pass
    assert refused.value.retry_after
    assert len(fake.requests) == 3


@pytest.mark.parametrize("error", [errors.ModelEndOfLifeError, errors.UpstreamCredentialsError])
async def test_lasting_failures_are_reported_as_such_while_the_circuit_is_open(error):
    fake = FakeVisionModel(failing=error("Ask the operator."))
    model = CircuitBreakerModel(fake, Breaker(threshold=3, reset=NEVER))
    await fail(model, 3)

    with pytest.raises(error, match=r"Ask the operator\.") as refused:
        await model.generate(REQUEST)
    with pytest.raises(error):
        async with model.stream(REQUEST):
            pass
    # A new error: the original one keeps its request in memory.
    assert refused.value is not fake.failing
    assert len(fake.requests) == 3


@pytest.mark.parametrize("error", [errors.UpstreamTimeoutError, errors.UpstreamAnswerError])
async def test_calls_that_were_not_made_are_not_reported_as_billed(error):
    model = CircuitBreakerModel(FakeVisionModel(failing=error("slow")), Breaker(1, NEVER))
    await fail(model, 1)

    with pytest.raises(errors.CircuitOpenError):
        await model.generate(REQUEST)


async def test_an_answer_between_failures_resets_the_count():
    fake = FakeVisionModel(failing=FAILED)
    model = CircuitBreakerModel(fake, Breaker(threshold=3, reset=NEVER))
    await fail(model, 2)
    fake.failing = None
    await model.generate(REQUEST)
    fake.failing = FAILED
    await fail(model, 2)

    assert model.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("error", [errors.ModelThrottledError, errors.UpstreamValidationError])
async def test_errors_unrelated_to_the_targets_health_do_not_count(error):
    model = CircuitBreakerModel(
        FakeVisionModel(failing=error("no")), Breaker(threshold=1, reset=NEVER)
    )
    await fail(model, 3)

    assert model.breaker.state is BreakerState.CLOSED


async def test_half_open_lets_one_call_through_and_its_answer_closes_the_circuit():
    slow = SlowModel()
    model = CircuitBreakerModel(slow, Breaker(reset=AT_ONCE, state=BreakerState.OPEN))
    probe = asyncio.create_task(model.generate(REQUEST))
    await asyncio.sleep(0)

    assert model.breaker.state is BreakerState.HALF_OPEN
    with pytest.raises(errors.CircuitOpenError):
        await model.generate(REQUEST)
    slow.go.set()
    await probe
    assert str(model.breaker.state) == "closed"
    await model.generate(REQUEST)


async def test_one_failure_while_half_open_opens_the_circuit_again():
    breaker = Breaker(threshold=5, reset=AT_ONCE, state=BreakerState.OPEN)
    model = CircuitBreakerModel(FakeVisionModel(failing=FAILED), breaker)
    await fail(model, 1)

    assert breaker.state is BreakerState.OPEN


async def test_a_cancelled_probe_leaves_the_decision_to_the_next_call():
    model = CircuitBreakerModel(SlowModel(), Breaker(reset=AT_ONCE, state=BreakerState.OPEN))
    probe = asyncio.create_task(model.generate(REQUEST))
    await asyncio.sleep(0)
    probe.cancel()
    with suppress(asyncio.CancelledError):
        await probe

    assert model.breaker.state is BreakerState.OPEN
    assert model.breaker.enter()


async def test_cancelling_an_older_call_lets_no_second_probe_through():
    slow = SlowModel()
    model = CircuitBreakerModel(slow, Breaker(threshold=1, reset=AT_ONCE))
    older = asyncio.create_task(model.generate(REQUEST))
    await asyncio.sleep(0)
    model.breaker.failed(FAILED)
    probe = asyncio.create_task(model.generate(REQUEST))
    await asyncio.sleep(0)
    older.cancel()
    with suppress(asyncio.CancelledError):
        await older

    assert model.breaker.state is BreakerState.HALF_OPEN
    slow.go.set()
    await probe
