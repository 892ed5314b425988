"""The strategy "each": concurrent calls and the combined answer."""

import asyncio
from dataclasses import replace

import pytest

from app.domain.cost import Cost
from app.domain.errors import ModelThrottledError
from app.domain.generation import (
    Completion,
    Generation,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Latency,
    Role,
    StopReason,
    Turn,
)
from app.domain.image import ReceivedImage
from app.domain.usage import Usage
from app.services.generation.multiple_images import ask_each


def request(count: int) -> GenerationRequest:
    images = tuple(ReceivedImage(b"", name=f"images.{i}") for i in range(count))
    turns: tuple[Turn[ImageInput], ...] = (
        Turn(Role.USER, "Hi"),
        Turn(Role.ASSISTANT, "Hello"),
        Turn(Role.USER, "What?", images),
    )
    return GenerationRequest(turns=turns, strategy=ImageStrategy.EACH)


def answer(
    text: str = "x",
    tokens: int | None = 5,
    stop: StopReason = StopReason.STOP,
) -> Generation:
    completion = Completion(text, Usage(tokens, 1), stop, stop.value)
    return Generation("gen_1", "m", completion, (), (), Latency(1, 1))


async def test_at_most_four_calls_run_at_a_time():
    running, most, gate = 0, 0, asyncio.Event()

    async def ask(one: GenerationRequest) -> Generation:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return answer()

    task = asyncio.create_task(ask_each(request(10), ask))
    for _ in range(50):
        await asyncio.sleep(0)
    assert running == 4

    gate.set()
    assert len((await task).parts) == 10
    assert most == 4


async def test_each_call_has_one_picture_and_the_earlier_turns():
    asked = []

    async def ask(one: GenerationRequest) -> Generation:
        asked.append(one)
        return answer()

    await ask_each(request(3), ask)

    assert [one.turns[-1].images[0].name for one in asked] == ["images.0", "images.1", "images.2"]
    assert {len(one.turns) for one in asked} == {3}
    assert {one.strategy for one in asked} == {ImageStrategy.SINGLE}


async def test_an_unknown_count_or_differing_stop_reasons_stay_unknown():
    answers = [answer(tokens=5), answer(tokens=None), answer(stop=StopReason.LENGTH)]

    async def ask(one: GenerationRequest) -> Generation:
        return answers.pop()

    completion = (await ask_each(request(3), ask)).completion

    assert completion.usage == Usage(None, 3)
    assert completion.stop_reason is StopReason.OTHER
    assert completion.stop_reason_raw is None


async def test_a_cost_unknown_for_one_answer_is_unknown_in_total():
    known = answer()
    usage = replace(known.completion.usage, cost=Cost(0.25, 0.5))
    priced = replace(known, completion=replace(known.completion, usage=usage))

    async def cost(answers: list[Generation]) -> Cost | None:
        async def ask(_: GenerationRequest) -> Generation:
            return answers.pop()

        return (await ask_each(request(2), ask)).completion.usage.cost

    assert await cost([priced, priced]) == Cost(0.5, 1.0)
    assert await cost([priced, known]) is None


async def test_an_internal_error_in_one_call_does_not_lose_the_paid_answers():
    async def ask(one: GenerationRequest) -> Generation:
        if one.turns[-1].images[0].name == "images.1":
            raise ZeroDivisionError
        return answer("paid")

    parts = (await ask_each(request(2), ask)).parts

    assert parts[0].generation is not None
    assert parts[0].generation.completion.text == "paid"
    assert parts[1].error is not None
    assert parts[1].error.code == "internal_error"


async def test_the_first_of_several_failures_is_raised():
    async def ask(one: GenerationRequest) -> Generation:
        raise ModelThrottledError(one.turns[-1].images[0].name)

    with pytest.raises(ModelThrottledError, match=r"images\.0"):
        await ask_each(request(3), ask)
