"""A batch job's answers replace calls."""

import asyncio

import pytest

from app.domain.cost import Price
from app.domain.generation import Completion, ModelRequest, Role, StopReason, Target, Turn
from app.domain.model import Dialect
from app.domain.usage import Usage
from app.services.model_stack import batch_answers
from app.services.model_stack.batch_answers import BatchedModel, CapturedError
from tests.support.fakes.ports import FakeVisionModel

TARGET = Target("us-east-1", "us.meta.llama3-2-11b-instruct-v1:0", Dialect.INVOKE)
REQUEST = ModelRequest((Turn(Role.USER, "Why?"),))
GIVEN = Completion("Because.", Usage(10, 20), StopReason.STOP, "stop")


@pytest.fixture
def fake() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture
def model(fake: FakeVisionModel) -> BatchedModel:
    return BatchedModel(fake, TARGET, Price(1, 1))


async def test_a_captured_request_is_returned_and_not_sent(model, fake):
    with batch_answers.capturing() as capture:
        assert batch_answers.captures()
        with pytest.raises(CapturedError):
            await model.generate(REQUEST)
    assert capture.request == REQUEST
    assert fake.requests == []
    assert not batch_answers.captures()


async def test_the_first_call_gets_the_jobs_answer_with_its_cost_and_later_ones_are_made(
    model, fake
):
    with batch_answers.answering(GIVEN):
        first, second = await model.generate(REQUEST), await model.generate(REQUEST)
    assert (first.text, first.target) == ("Because.", TARGET)
    assert first.usage.cost is not None
    assert first.usage.cost.total == pytest.approx(30 / 1e6)
    assert second.text != "Because."
    assert len(fake.requests) == 1


async def test_a_concurrent_request_does_not_count(model: BatchedModel) -> None:
    async def other() -> str:
        return (await model.generate(REQUEST)).text

    begun = asyncio.create_task(other())
    with batch_answers.answering(GIVEN):
        assert await begun != "Because."
        assert (await model.generate(REQUEST)).text == "Because."


async def test_a_row_without_an_answer_is_sent_to_the_model(model, fake):
    with batch_answers.answering(None):
        await model.generate(REQUEST)
    assert fake.requests == [REQUEST]
