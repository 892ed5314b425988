"""Forbidden words are never sent before the verdict, however a stream splits them."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from app.domain.generation import Delta, Finish, ModelRequest, Role, StopReason, Turn
from app.domain.guardrail import Action, StreamMode
from app.services.guardrails.held_text import HeldText
from tests.support.fakes.guardrail import FakeGuardrail
from tests.support.model.guarded import Spelled, guarded, streamed

WORDS = [
    "a",
    "cat",
    "sat",
    "on",
    "the",
    "warm",
    "mat",
    "and",
    "looked",
    "at",
    "12",
    "birds;",
    "nobody",
    "(or",
    "so",
    "it",
    "seemed)",
    "saw",
    "it.\n",
]


def cut(text: str, places: Sequence[int]) -> list[str]:
    bounds = [0, *sorted(set(places)), len(text)]
    return [text[a:b] for a, b in pairwise(bounds) if a < b]


def texts(word: str) -> list[tuple[str, int]]:
    """Return a hundred texts with ``word``, and its position in each."""
    chance = random.Random(23)
    made = []
    for _ in range(100):
        before = " ".join(chance.choices(WORDS, k=chance.randrange(0, 60)))
        after = " ".join(chance.choices(WORDS, k=chance.randrange(0, 30)))
        made.append((f"{before} {word} {after}", len(before) + 1))
    return made


@pytest.mark.parametrize("stream", [StreamMode.BUFFER, StreamMode.WINDOW])
async def test_no_byte_of_a_forbidden_word_is_streamed_however_it_is_split(stream):
    word = "blockme"
    for text, place in texts(word):
        for within in range(len(word) + 1):
            chance = random.Random(f"{place}/{within}")
            places = [place + within, *chance.choices(range(1, len(text)), k=8)]
            model = Spelled(cut(text, places))
            deltas, finish = await streamed(guarded(model, stream, FakeGuardrail(word)))

            shown = "".join(delta.text for delta in deltas)
            assert text.startswith(shown)
            assert len(shown) <= place, (text, places, shown)
            assert finish.stop_reason is StopReason.GUARDRAIL
            assert finish.guardrail is not None
            assert finish.guardrail.action is Action.BLOCKED


@pytest.mark.parametrize("stream", [StreamMode.BUFFER, StreamMode.WINDOW])
async def test_no_byte_of_masked_text_is_streamed_however_it_is_split(stream):
    address = "ann@example.org"
    for text, place in texts(address):
        for within in range(0, len(address) + 1, 3):
            model = Spelled(cut(text, [place + within, *range(5, len(text), 11)]))
            deltas, finish = await streamed(guarded(model, stream, FakeGuardrail()))

            assert "".join(delta.text for delta in deltas) == text.replace(address, "{EMAIL}")
            assert finish.stop_reason is StopReason.STOP
            assert finish.guardrail is not None
            assert finish.guardrail.action is Action.MASKED


async def test_a_harmless_text_is_streamed_window_by_window_and_completely():
    text = " ".join(WORDS * 20)
    model = Spelled(cut(text, range(3, len(text), 7)))
    deltas, finish = await streamed(guarded(model, StreamMode.WINDOW, FakeGuardrail()))

    assert "".join(delta.text for delta in deltas) == text
    assert len(deltas) > 5
    assert finish.guardrail is not None
    assert finish.guardrail.action is Action.NONE


async def test_a_buffered_stream_sends_nothing_before_the_end():
    model = Spelled(["one ", "two ", "three"])
    request = ModelRequest((Turn(Role.USER, "Why?"),))
    async with guarded(model, StreamMode.BUFFER, FakeGuardrail()).stream(request) as stream:
        first = await anext(stream)

        assert model.sent == 3
        assert [type(part) for part in first] == [Delta, Finish]


async def test_a_blocked_window_ends_the_upstream_call_and_reports_its_tokens():
    text = f"blockme {' '.join(WORDS * 20)}"
    model = Spelled(cut(text, range(3, len(text), 7)))
    deltas, finish = await streamed(guarded(model, StreamMode.WINDOW, FakeGuardrail()))

    assert (deltas, model.closed) == ([], True)
    assert model.sent < len(model.pieces) / 2
    assert finish.usage.generation_token_count == model.sent


async def test_an_audited_stream_is_checked_at_its_end_and_ends_with_the_block():
    model = Spelled(["one ", "blockme ", "three"])
    deltas, finish = await streamed(guarded(model, StreamMode.AUDIT, FakeGuardrail()))

    assert len(deltas) == 3
    assert finish.stop_reason is StopReason.GUARDRAIL


async def test_a_text_without_spaces_is_not_held_back_forever():
    model = Spelled(["x" * 50] * 20)
    deltas, _ = await streamed(guarded(model, StreamMode.WINDOW, FakeGuardrail()))

    assert "".join(delta.text for delta in deltas) == "x" * 1000
    assert len(deltas) > 2


def test_a_window_ends_at_whitespace():
    held = HeldText(10, 4)

    assert held.feed("one two ") is None
    assert held.feed("thr") == "one two "
    assert held.passed("one two ", "one two ") == "one "
    assert held.text == "two thr"
