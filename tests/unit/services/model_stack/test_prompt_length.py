"""Prompts longer than the context window are never sent."""

from dataclasses import dataclass, field

import pytest

from app.domain.errors import ContextLengthError
from app.domain.generation import ModelRequest, Role, Turn
from app.domain.token import CountMethod, TokenCount
from app.services.model_stack.prompt_length import BoundedPromptModel
from tests.support.fakes.ports import FakeVisionModel


@dataclass
class Counter:
    """Returns a given count, and counts its calls."""

    tokens: int
    method: CountMethod = CountMethod.EXACT
    asked: int = field(default=0, init=False)

    async def count(self, request: ModelRequest) -> TokenCount:
        self.asked += 1
        return TokenCount(self.tokens, self.method)


def asked(characters: int) -> ModelRequest:
    return ModelRequest((Turn(Role.USER, "x" * characters),))


async def test_a_prompt_over_the_context_window_is_refused_before_the_model_is_called():
    model = FakeVisionModel()
    bounded = BoundedPromptModel(model, Counter(101), 100)
    with pytest.raises(ContextLengthError, match=r"has 101 tokens.* is 100 tokens"):
        await bounded.generate(asked(400))
    with pytest.raises(ContextLengthError):
        async with bounded.stream(asked(400)):
            raise AssertionError("the stream was started")

    assert model.requests == []


@pytest.mark.parametrize("counter", [Counter(100), Counter(10_000, CountMethod.BOUND)])
async def test_a_prompt_that_fits_or_may_fit_is_answered(counter):
    bounded = BoundedPromptModel(FakeVisionModel(), counter, 100)
    await bounded.generate(asked(400))
    async with bounded.stream(asked(400)) as parts:
        assert [part async for part in parts]

    assert counter.asked == 2


async def test_the_tokens_of_a_prompt_that_certainly_fits_are_not_counted():
    counter = Counter(10_000)
    await BoundedPromptModel(FakeVisionModel(), counter, 100).generate(asked(25))

    assert counter.asked == 0
