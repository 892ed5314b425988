"""Which of several targets' errors is reported, as retries depend on it."""

import pytest

from app.domain import errors
from app.domain.errors import ServiceError
from app.domain.generation import CallContext, ModelRequest, Role, Target, Turn
from app.domain.model import Dialect
from app.services.model_stack.failover import FailoverModel
from tests.support.fakes.ports import FakeVisionModel

OPEN = errors.CircuitOpenError("left alone", retry_after=60)
FULL = errors.OverloadedError("full", retry_after=5)
DENIED = errors.UpstreamAccessDeniedError("no")
THROTTLED = errors.ModelThrottledError("slower")
PATIENT = errors.ModelThrottledError("slower", retry_after=30)
LOADING = errors.ModelLoadingError("minutes")
TRUNCATED = errors.StreamTruncatedError("cut")


def request(*, second_bill: bool = False) -> ModelRequest:
    return ModelRequest(
        (Turn(Role.USER, "Why?"),), call_context=CallContext(second_bill=second_bill)
    )


def failover(*failing: ServiceError | None) -> FailoverModel:
    return FailoverModel(
        [
            (Target("us-west-2", f"model-{place}", Dialect.INVOKE), FakeVisionModel(error))
            for place, error in enumerate(failing)
        ]
    )


@pytest.mark.parametrize(
    ("met", "told"),
    [
        ((OPEN, THROTTLED), THROTTLED),
        ((FULL, LOADING), LOADING),
        ((THROTTLED, OPEN), THROTTLED),
        ((DENIED, THROTTLED), THROTTLED),
        ((PATIENT, THROTTLED), THROTTLED),
        ((THROTTLED, LOADING), THROTTLED),
        ((DENIED, OPEN), OPEN),
        ((OPEN, FULL), FULL),
        ((DENIED, errors.ModelNotFoundError("what?")), DENIED),
    ],
)
async def test_if_all_targets_fail_the_error_with_the_earliest_retry_is_reported(met, told):
    with pytest.raises(type(told)) as caught:
        await failover(*met).generate(request())

    assert caught.value is told


async def test_a_stream_broken_before_its_text_may_have_been_billed():
    with pytest.raises(errors.StreamTruncatedError):
        await failover(TRUNCATED, None).generate(request())

    answer = await failover(TRUNCATED, None).generate(request(second_bill=True))
    assert answer.text
