"""How often a call is repeated that meets one error after another."""

import asyncio
from collections.abc import Sequence

import pytest

from app.domain import errors
from app.domain.errors import ServiceError
from app.domain.generation import CallContext, ModelRequest, Role, Turn
from app.services.model_stack.retry import LOADING_LEAST, Backoff, Retries, RetryBudget, RetryModel
from tests.support.model.scripted import Answer, ScriptedVisionModel

AT_ONCE = Retries(backoff=Backoff(initial=0, longest=0, jitter=0))
LOADING = errors.ModelLoadingError("minutes")
THROTTLED = errors.ModelThrottledError("slower")
UNAVAILABLE = errors.UpstreamUnavailableError("down")
FAILED = errors.ModelFailedError("oops")
TIMED_OUT = errors.UpstreamTimeoutError("silent")
DISCONNECTED = errors.UpstreamDisconnectedError("broken")


def request(deadline: float = 1e9, *, second_bill: bool = True) -> ModelRequest:
    call_context = CallContext(deadline=deadline, second_bill=second_bill)
    return ModelRequest((Turn(Role.USER, "Why?"),), call_context=call_context)


def retried(*met: ServiceError, budget: RetryBudget | None = None) -> RetryModel:
    answers: Sequence[Answer] = (*met, "an answer")
    return RetryModel(ScriptedVisionModel(answers=list(answers)), budget or RetryBudget(), AT_ONCE)


@pytest.mark.parametrize(
    "met",
    [
        (*[LOADING] * 9, THROTTLED),
        (THROTTLED, LOADING, THROTTLED, LOADING, THROTTLED),
        (THROTTLED, THROTTLED, FAILED),
        (THROTTLED, THROTTLED, TIMED_OUT),
    ],
)
async def test_attempts_under_one_rule_do_not_count_under_another(met):
    completion = await retried(*met).generate(request())

    assert completion.text == "an answer"


@pytest.mark.parametrize(
    "met",
    [
        (TIMED_OUT, DISCONNECTED),
        (THROTTLED, UNAVAILABLE, THROTTLED, UNAVAILABLE),
        (FAILED, THROTTLED, FAILED),
    ],
)
async def test_rules_with_the_same_terms_share_one_count(met):
    with pytest.raises(type(met[-1])):
        await retried(*met).generate(request())


async def test_a_wait_longer_than_the_deadline_costs_no_retry_budget():
    budget = RetryBudget()
    patient = errors.ModelThrottledError("slower", retry_after=1e10)
    with pytest.raises(errors.ModelThrottledError):
        await retried(patient, budget=budget).generate(request())

    assert budget.left == budget.most


async def test_a_loading_model_is_not_called_too_close_to_the_deadline():
    now = asyncio.get_running_loop().time()

    with pytest.raises(errors.ModelLoadingError):
        await retried(LOADING).generate(request(now + LOADING_LEAST * 0.9))
    assert (await retried(LOADING).generate(request(now + 60))).text == "an answer"
