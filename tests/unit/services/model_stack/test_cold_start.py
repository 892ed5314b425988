"""Estimates of cold starts, with a fake clock."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from app.domain.errors import ModelLoadingError
from app.domain.generation import ModelRequest, Role, Turn
from app.services.model_stack.cold_start import LEAST, UNKNOWN, ColdStartModel, ColdStarts
from tests.support.model.scripted import ScriptedVisionModel

REQUEST = ModelRequest((Turn(Role.USER, "Why?"),))
LOADING = ModelLoadingError("later")


@dataclass
class Clock:
    now: float = 0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def started(clock: Clock, *seconds: float, observe: Callable[[float], None] = print) -> ColdStarts:
    """Return the state after starts that took ``seconds``."""
    starts = ColdStarts(observe, clock)
    for took in seconds:
        starts.loading()
        clock.now += took
        starts.ready()
    return starts


def test_each_start_is_timed_from_the_first_refusal_to_the_first_answer(clock):
    observed: list[float] = []
    starts = started(clock, 40, 200, observe=observed.append)
    starts.ready()

    assert observed == [40, 200]
    assert starts.loading_for is None


def test_the_first_start_is_estimated_at_a_minute_and_then_at_its_time_so_far(clock):
    starts = started(clock)
    starts.loading()
    at_once = starts.left()
    clock.now += 90

    assert (at_once, starts.left()) == (UNKNOWN, 90)


def test_a_later_start_is_estimated_from_the_last_ones(clock):
    starts = started(clock, 100, 300, 200)
    starts.loading()
    at_once = starts.left()
    clock.now += 50

    assert (at_once, starts.left()) == (200, 150)
    clock.now += 149
    assert starts.left() == LEAST


def test_an_abandoned_start_is_not_part_of_the_next_one(clock):
    starts = started(clock)
    starts.loading()
    clock.now += 3_600
    starts.loading()
    clock.now += 30
    starts.ready()

    assert list(starts.took) == [30]


@pytest.mark.parametrize("streamed", [False, True])
async def test_callers_are_told_the_estimate_and_when_to_retry(clock, streamed):
    starts = started(clock, 120)
    model = ColdStartModel(ScriptedVisionModel(answers=[LOADING, "an answer"]), starts)

    async def ask() -> None:
        if not streamed:
            await model.generate(REQUEST)
            return
        async with model.stream(REQUEST) as parts:
            async for _ in parts:
                pass

    with pytest.raises(ModelLoadingError, match=r"scaled to zero.*last starts took 120 s") as told:
        await ask()
    clock.now += 60
    await ask()

    assert told.value.retry_after == 120
    assert list(starts.took) == [120, 60]
