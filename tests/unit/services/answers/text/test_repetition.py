"""Loops are recognised at the end of an answer and during a stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from app.domain.generation import (
    Delta,
    Finish,
    ModelRequest,
    Role,
    StopReason,
    StreamParts,
    Turn,
)
from app.services.answers.text.repetition import LoopFinder, loop
from app.services.model_stack.repetition import RepetitionModel
from tests.support.fakes.ports import FakeVisionModel

LOOPS = {
    "a line": "TOTAL 5\n",
    "a row": "| Milk | 1 | 0.99 |\n",
    "a tag": '"cat", ',
    "a sentence": "So we look again at the apples. ",
    "three lines": "Bread\nMilk\nEggs and ham\n",
    "an entry": '{"name": "Milk", "price": 0.99}, ',
}


@pytest.mark.parametrize("unit", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("part", [0, 0.3, 0.7])
def test_a_text_that_ends_in_a_loop_is_cut_after_the_first_repetition(unit, part):
    text = "First of all: " + unit * 30 + unit[: int(len(unit) * part)]
    found = loop(text)

    assert found is not None
    assert len(found.unit) == len(unit)
    assert text[: found.kept].startswith("First of all: " + unit)
    assert found.kept < len("First of all: ") + 2 * len(unit)


@pytest.mark.parametrize(
    "text",
    ["", "A cat.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16", "ha ha ha", " " * 99],
)
def test_a_text_that_adds_something_or_is_short_is_not_a_loop(text):
    assert loop(text) is None


def test_sixty_equal_lines_of_a_page_do_not_end_a_stream():
    finder = LoopFinder()

    assert all(finder.feed("TOTAL 42.10\n") is None for _ in range(60))


@dataclass
class Looping(FakeVisionModel):
    """Repeats one text endlessly, and counts the repetitions."""

    said: int = 0

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        async def parts() -> AsyncIterator[StreamParts]:
            while True:
                self.said += 1
                yield (Delta("So we look again at the apples. "),)

        yield parts()


async def test_a_looping_stream_is_ended_and_says_so():
    model = Looping()
    async with RepetitionModel(model).stream(ModelRequest((Turn(Role.USER, "?"),))) as parts:
        told = [part async for arrived in parts for part in arrived]

    assert isinstance(told[-1], Finish)
    assert told[-1].stop_reason is StopReason.REPETITION
    assert model.said == len(told) - 1 < 60
