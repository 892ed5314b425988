"""Reading an answer takes time linear in its length, whatever its content."""

import json
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from app.services.answers.exact import SchemaForm
from app.services.answers.form import SHOWN, Form
from app.services.answers.reading import read
from app.services.answers.schema_form import CallerForm, faults_of, validator
from app.services.answers.text.notes import AnswerError
from app.services.answers.text.objects import LONGEST

FORM = CallerForm(
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
)

SHAPES: dict[str, Callable[[int], str]] = {
    "braces": lambda n: "{" * n,
    "brackets": lambda n: "[" * n,
    "braces and spaces": lambda n: "{ " * (n // 2),
    "nested objects": lambda n: '{"a":' * (n // 5),
    "nested lists of objects": lambda n: '[{"a":1},' * (n // 9),
    "quotes": lambda n: '"' * n,
    "quotes in a text": lambda n: '{"a": "' + '"' * n,
    "quotes and commas": lambda n: '{"a": "' + '",' * (n // 2),
    "quotes before far away commas": lambda n: '{"a": "' + ('",' + " " * 199) * (n // 201),
    "keys without an end": lambda n: '{"' * (n // 2),
    "bare keys": lambda n: "{a:" * (n // 3),
    "commas": lambda n: '{"a": ' + "1," * (n // 2),
    "members": lambda n: "{" + '"k": 1, ' * (n // 8),
    "missing commas": lambda n: '{"a": "x" ' * (n // 10),
    "backslashes": lambda n: '{"a": "' + "\\" * n,
    "half escapes": lambda n: '{"a": "' + "\\u" * (n // 2),
    "comments": lambda n: "{" + "/*" * (n // 2),
    "comments in values": lambda n: '{"a":/*' * (n // 7),
    "apostrophes": lambda n: "{'a': 'it's " * (n // 12),
    "thoughts": lambda n: "<think>" * (n // 7),
    "closed thoughts": lambda n: "<think></think>" * (n // 15),
    "spaces": lambda n: "{" + " " * n,
    "keys and spaces": lambda n: ('{"a"' + " " * 300) * (n // 304),
    "objects": lambda n: '{"a": "x"}' * (n // 10),
    "one long text": lambda n: '{"a": "' + "é" * n + '"}',
    "one long number": lambda n: '{"b": ' + "9" * n + "}",
    "keys within one that is too long": lambda n: '{"' * (n // 2) + '": 1}',
    "keys in other quotes within one": lambda n: "{'x " * (n // 4) + "': 1}",
    "keys in three quotes within one": lambda n: '{"""a' * (n // 5) + '""": 1}',
    "ends of thoughts": lambda n: '{"a": 1}</think>' * (n // 16),
    "comments without an end": lambda n: "[[1,<!--" * (n // 8),
    "the same again": lambda n: '{"a": "' + "ab " * (n // 3),
}


def steps(text: str, form: Form[Any] = FORM) -> int:
    """Return the number of Python and C calls that reading ``text`` makes."""
    count = 0

    def counted(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        with suppress(AnswerError):
            read(text, form)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_twice_as_long_takes_at_most_twice_the_steps(shape):
    small, large = (steps(SHAPES[shape](size)) for size in (4_000, 8_000))

    assert large <= 2.2 * small + 200
    assert large <= 20 * 8_000


@pytest.mark.parametrize("shape", SHAPES)
def test_the_longest_answer_of_any_shape_is_read_or_reported_as_invalid(shape):
    text = SHAPES[shape](LONGEST - 20)
    faults: tuple[str, ...] = ()
    answer = None
    try:
        answer = read(text, FORM).answer
    except AnswerError as error:
        faults = error.faults

    assert (answer is None) == bool(faults)


def test_two_hundred_random_answers_of_brackets_and_quotes_take_linear_steps():
    dice = random.Random(16)
    pieces = ["{", "}", "[", "]", '"', "'", ",", ":", "\\", "//", "/*", "```", "a", "1", " ", "\n"]
    pieces += ['"a":', '{"a": "', '"b": 1', "<think>", "</think>", "...", "<|eot_id|>", "“", "null"]
    for _ in range(200):
        weights = [dice.random() ** 4 for _ in pieces]
        text = "".join(dice.choices(pieces, weights, k=1_500))

        assert steps(text) <= 30 * len(text) + 2_000, text[:80]


def lines_counted(text: str) -> int:
    """Return the number of characters in which Python's JSON decoder counts lines."""
    count = 0

    def counted(frame: FrameType, event: str, called: object) -> None:
        nonlocal count
        if event == "c_call" and getattr(called, "__name__", "") == "count":
            count += frame.f_locals.get("pos", 0)

    sys.setprofile(counted)
    try:
        with suppress(AnswerError):
            read(text, FORM)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("piece", ["{{\\", "[/*", "[{...["])
def test_lines_are_not_counted_again_for_each_malformed_object(piece):
    text = piece * (60_000 // len(piece))

    assert 0 < lines_counted(text) <= 200 * len(text)


def test_an_answer_of_ten_megabytes_is_refused_without_scanning():
    text = '{"a": "' + "x" * 10_000_000

    assert steps(text) < 20
    with pytest.raises(AnswerError, match="more than 262,144 characters"):
        read(text, FORM)


def test_a_text_of_a_hundred_kilobytes_and_a_number_of_sixty_digits_are_read_whole():
    long, digits = "é" * 100_000, "9" * 60
    answer = read(f'{{"a": "{long}", "b": {digits}}}', FORM).answer

    assert answer is not None
    assert answer.fields == {"a": long, "b": int(digits)}


def of_words(count: int) -> dict[str, Any]:
    """Return a schema for a list whose items are ``count`` words."""
    words = {"type": "array", "items": {"enum": [f"w{i}" for i in range(count)]}}
    return {"type": "object", "properties": {"a": words}, "required": ["a"]}


@pytest.mark.parametrize("form", [CallerForm, SchemaForm])
@pytest.mark.parametrize("word", ["q", "W-1"])
def test_looking_up_a_word_takes_as_many_steps_in_a_long_list_as_in_a_short_one(form, word):
    # Comparing each word with each of 9,000 once blocked the event loop for 11 s.
    text = json.dumps({"a": [word] * 300})

    assert steps(text, form(of_words(5_000))) <= steps(text, form(of_words(10))) + 100 * 5_000


@pytest.mark.parametrize("form", [CallerForm, SchemaForm])
def test_an_answer_of_braces_under_a_wide_schema_is_not_filled_with_nulls(form):
    row = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(300)}}
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": row}}}

    with pytest.raises(AnswerError, match="too many objects"):
        read('{"a": [' + "{}," * 1_000 + "{}]}", form(schema))


def test_only_the_first_error_is_reported_for_a_large_answer_and_schema():
    wrong = {"a": ["q"] * 3_000}
    few, many = of_words(3), of_words(3_000)

    assert len(list(faults_of(validator(few), wrong, few))) == SHOWN
    assert len(list(faults_of(validator(many), wrong, many))) == 1
    assert list(faults_of(validator(many), {"a": ["w1"] * 3_000}, many)) == []
