"""Retries are at most a tenth of the calls, plus an initial allowance."""

import pytest

from app.domain import errors
from app.domain.generation import ModelRequest, Role, Turn
from app.services.model_stack.retry import Backoff, Retries, RetryBudget, RetryModel
from app.telemetry import RequestRecord, recording
from tests.support.fakes.ports import FakeVisionModel

REQUEST = ModelRequest((Turn(Role.USER, "Why?"),))
AT_ONCE = Retries(backoff=Backoff(initial=0, longest=0, jitter=0))


def test_ten_calls_earn_one_retry():
    budget = RetryBudget(left=0)
    for _ in range(9):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    # Ten times a tenth is not quite one in floating point.
    budget.earn()
    assert budget.spend()
    assert not budget.spend()


def test_the_budget_is_capped():
    budget = RetryBudget(most=2, left=2)
    for _ in range(100):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]


async def test_a_burst_of_failures_is_not_multiplied_by_retries():
    model = FakeVisionModel(failing=errors.ModelThrottledError("slower"))
    retried = RetryModel(model, RetryBudget(), AT_ONCE)
    for _ in range(100):
        with pytest.raises(errors.ModelThrottledError):
            await retried.generate(REQUEST)

    # 100 calls, an initial allowance of 20 retries, and a tenth of the calls.
    assert 120 <= len(model.requests) <= 131


async def test_the_first_call_does_not_count_as_a_retry():
    model = FakeVisionModel(failing=errors.ModelFailedError("no"))
    with recording(RequestRecord()) as record, pytest.raises(errors.ModelFailedError):
        await RetryModel(model, RetryBudget(), AT_ONCE).generate(REQUEST)

    assert (len(model.requests), record.retries) == (2, 1)


async def test_without_a_budget_the_error_is_raised_at_once():
    model = FakeVisionModel(failing=errors.ModelThrottledError("slower"))
    with pytest.raises(errors.ModelThrottledError):
        await RetryModel(model, RetryBudget(left=0), AT_ONCE).generate(REQUEST)
    assert len(model.requests) == 1
