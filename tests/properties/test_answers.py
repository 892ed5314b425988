"""An answer is read as itself or as an error, in any style and cut anywhere."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.generation import StopReason
from app.services.answers.echo import repeats
from app.services.answers.reading import read
from app.services.answers.schema_form import CallerForm
from app.services.answers.text.notes import AnswerError
from app.services.answers.text.refusal import refusal
from tests.support.model.answer_styles import STYLES
from tests.support.model.reading import answer_in

ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
}
FORM = CallerForm(
    {
        "type": "object",
        "properties": {
            "vendor": {"type": "string"},
            "note": {"type": "string"},
            "total": {"type": "number"},
            "count": {"type": "integer"},
            "paid": {"type": "boolean"},
            "items": {"type": "array", "items": ITEM},
        },
    }
)
LETTERS = list("ab Z09.,:;-\"'`{}[]()/\\#<>|$\n\tüß€“”„‘’«»")  # noqa: RUF001 - models write them
RUNS = [
    "```",
    '": "',
    "nul",
    "//",
    '", "',
    '\\"',
    "&quot;",
    "\u2028",
    "\xa0",
    "\N{CAT FACE}",
    "</think>",
]
SIGNS = st.sampled_from([*LETTERS, *RUNS])
TEXTS = st.lists(SIGNS, max_size=12).map("".join).filter(lambda text: refusal(text) is None)
AMOUNTS = st.integers(-10_000_000, 10_000_000).map(lambda cents: cents / 100)
OBJECTS = st.fixed_dictionaries(
    {
        "vendor": st.sampled_from(["ACME", "Corner Shop", "Café"]),
        "note": st.none() | TEXTS,
        "total": st.none() | AMOUNTS,
        "count": st.none() | st.integers(0, 10**20),
        "paid": st.none() | st.booleans(),
        "items": st.lists(
            st.fixed_dictionaries({"name": TEXTS, "price": st.none() | AMOUNTS}), max_size=3
        ),
    }
)


def fields(text: str, stop: StopReason = StopReason.STOP) -> dict[str, Any] | None:
    """Return the fields that are read, or None for an error."""
    try:
        return answer_in(text, FORM, stop).fields
    except AnswerError:
        return None


@pytest.mark.parametrize("style", STYLES)
@given(value=OBJECTS)
def test_an_object_in_any_style_is_read_as_itself_or_reported_as_invalid(style, value):
    assert fields(STYLES[style](value)) in (value, None)


@pytest.mark.parametrize("style", STYLES)
def test_a_plain_object_in_any_style_is_read_without_a_second_call(style):
    value = {
        "vendor": "ACME",
        "note": "Thank you, come again",
        "total": 1234.5,
        "count": 3,
        "paid": True,
        "items": [{"name": "Bread", "price": 1.29}, {"name": "Milk", "price": None}],
    }
    assert fields(STYLES[style](value)) == value


def test_a_straight_quote_before_a_bracket_does_not_end_a_curly_quoted_text():
    value = {"vendor": "ACME", "note": '"]', "total": None, "count": None, "paid": None}
    assert fields(STYLES["smart quotes"](value)) == {**value, "items": None}


@pytest.mark.parametrize(
    ("style", "note"),
    [
        ("smart quotes", '"],"'),
        ("trailing commas", '”]"'),
        ("code", '”}": "'),
        ("comments with slashes", '”#": "'),
        ("doubled braces", '”//"'),
        ("single quotes", "’//'"),  # noqa: RUF001 - as models write it
        ("Python's words", "’]]'"),  # noqa: RUF001 - as models write it
    ],
)
def test_a_quote_of_another_kind_ends_no_text_that_its_own_quote_may_end(style, note):
    value = {"vendor": "ACME", "note": note, "items": [{"name": note, "price": None}]}
    assert fields(STYLES[style](value)) is None


@pytest.mark.parametrize(
    "text",
    ['“ACME", “note”: “x”', '"ACME”, "note": "x"', "'ACME’, 'note': 'x'"],  # noqa: RUF001
)
def test_a_quote_of_another_kind_ends_a_text_before_the_next_key(text):
    read_as = fields(f"{{'vendor': {text}}}")
    assert read_as is not None
    assert (read_as["vendor"], read_as["note"]) == ("ACME", "x")


def test_escaped_curly_quotes_and_braces_within_a_text_are_the_text_s_own():
    value = {"vendor": "ACME", "note": "“", "total": None, "count": None, "paid": None}
    assert fields(STYLES["smart quotes"](value)) == {**value, "items": None}
    value = {**value, "note": '{\\"'}
    assert fields(STYLES["single quotes"](value)) == {**value, "items": None}


def is_prefix(part: Any, whole: Any) -> bool:
    """Whether ``part`` is a prefix of ``whole``."""
    if part is None or part == whole:
        return True
    if isinstance(part, dict):
        return all(is_prefix(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        return len(part) <= len(whole) and part == whole[: len(part)]
    return False


@given(value=OBJECTS, share=st.floats(0, 1), escaped=st.booleans())
def test_an_answer_cut_anywhere_keeps_a_true_prefix_with_a_warning(value, share, escaped):
    text = json.dumps(value, ensure_ascii=escaped)
    cut = text[: int(len(text) * share)]
    try:
        reading = read(cut, FORM, StopReason.LENGTH)
    except AnswerError:
        return
    assert reading.answer is not None
    assert is_prefix(reading.answer.fields, value)
    assert cut == text or "answer_cut_off" in {warning.code for warning in reading.warnings}


def ends(text: str) -> dict[str, int]:
    """Return where each member's value ends in ``text``, an object written by `dumps`."""
    decoder, at, result = json.JSONDecoder(), 1, {}
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        _, at = decoder.raw_decode(text, at + 2)
        result[key] = at
        at += 2 if text[at] == "," else 0
    return result


@given(value=OBJECTS, share=st.floats(0.1, 1))
def test_every_complete_value_before_the_cut_is_kept(value, share):
    text = json.dumps(value)
    cut = text[: int(len(text) * share)]
    whole = {key: value[key] for key, end in ends(text).items() if end < len(cut)}
    # What has nothing but dots for texts counts as the prompt's skeleton, repeated.
    assume(whole and not repeats(whole, FORM.schema))
    reading = read(cut, FORM, StopReason.LENGTH)
    assert reading.answer is not None
    assert {key: reading.answer.fields[key] for key in whole} == whole
