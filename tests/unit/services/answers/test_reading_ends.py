"""Where a value ends in what a model wrote: it is read as written, or the model is asked again."""

import pytest

from app.domain.generation import StopReason
from app.services.answers.exact import AnyObject, SchemaForm
from app.services.answers.reading import read
from app.services.answers.text.notes import AnswerError
from tests.support.model.reading import answer_in

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
FORM = SchemaForm(
    {"type": "object", "properties": {"a": TEXT, "b": TEXT, "c": TEXTS, "d": {"type": "number"}}}
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{a: "x"\nb: "y"}', {"a": "x", "b": "y"}),
        ('{a: "x"\n  b: "y"}', {"a": "x", "b": "y"}),
        ("{a: „x”\n  b: „y”}", {"a": "x", "b": "y"}),
        ('{"c": ["x"\n"y"]}', {"c": ["x", "y"]}),
        ('{"a": x;\n"b": "y"}', {"a": "x", "b": "y"}),
        ("{«a»: x, «b»: «y»}", {"a": "x", "b": "y"}),
        ('{"a": "x", # as in "y"\n"b": "y"}', {"a": "x", "b": "y"}),
        ('{a: "x", "d": 5;}', {"a": "x", "d": 5}),
    ],
)
def test_a_value_ends_before_the_next_key_or_entry_however_they_are_separated(written, meant):
    assert answer_in(written, FORM) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("""{'a': 'x', "driver's": 'y'}""", {"a": "x", "driver's": "y"}),
        ("""{"a": "x", "driver's": "y",}""", {"a": "x", "driver's": "y"}),
        (r"""{'a': 'x', "the \"b\"": 'y'}""", {"a": "x", 'the "b"': "y"}),
        ('{a: "x"\nété: "y"}', {"a": "x", "été": "y"}),
        ("{a: x, größe: 5}", {"a": "x", "größe": 5}),
    ],
)
def test_a_text_ends_before_a_key_with_quotes_or_foreign_letters(written, meant):
    assert answer_in(written, AnyObject()) == meant


@pytest.mark.parametrize(
    "written",
    [
        '{"a": "x", b: "y"}',
        '{"a": "x"; b: "y"}',
        '{"a": "x"\nb: "y"}',
        '{"c": ["x" "y"]}',
        '{"a": "press "#" key",\n"b": "y"}',
        '{"a": "see http:"//x.example", "b": "y"}',
        "{„a“: „x“# 12”}",
        "{a: x, the second: y}",
        "{a: x /* p, q */, 'the \"second\"': y}",
        '{"a": "x", नाम: "y",}',
        '{"a": "x"], "b": "y"}',
        '{"c": ["x"}, "b": "y"}',
    ],
)
@pytest.mark.parametrize("form", [FORM, AnyObject()], ids=["schema", "any object"])
def test_a_value_that_may_end_elsewhere_is_a_fault(written, form):
    with pytest.raises(AnswerError) as caught:
        read(written, form)
    assert caught.value.fallback is None


def test_an_entity_within_a_text_is_the_text_s_own():
    assert answer_in('{a: "{&quot;"}', FORM) == {"a": "{&quot;"}
    assert answer_in("{&quot;a&quot;: &quot;x&quot;}", FORM) == {"a": "x"}


@pytest.mark.parametrize(
    "written",
    [
        '{"a": "x", ',
        '{"a": "x", "c": [',
        '{"a": "x", "c": ["y", ',
        '{"a": "x", "c": ["y"',
    ],
)
@pytest.mark.parametrize("form", [FORM, AnyObject()], ids=["schema", "any object"])
def test_an_answer_that_ends_where_more_was_to_come_is_not_finished(written, form):
    with pytest.raises(AnswerError, match="is not finished") as caught:
        read(written, form)
    assert caught.value.fallback is not None
    assert "answer_cut_off" in {warning.code for warning in caught.value.fallback.warnings}


def test_only_the_last_brace_may_be_forgotten():
    assert answer_in('{"a": "x"', FORM) == {"a": "x"}


def test_a_text_that_was_cut_off_is_left_out_of_any_object():
    reading = read('{"a": "x", "o": {"p": "y", "q": "z', AnyObject(), StopReason.LENGTH)
    assert reading.answer == {"a": "x", "o": {"p": "y"}}
    assert "answer_cut_off" in {warning.code for warning in reading.warnings}


@pytest.mark.parametrize(
    "cut", ['{"a": "x"\n"', '{"a": "He said "hello"', '{"a": "He said "hello" ']
)
def test_a_text_with_quotes_in_it_has_no_certain_end_at_a_cut(cut):
    with pytest.raises(AnswerError):
        read(cut, FORM)
    assert read(f'{{"b": "y", {cut[1:]}', FORM, StopReason.LENGTH).answer == {"b": "y"}


def test_members_without_braces_that_were_cut_off_are_told():
    reading = read('"a": "x", "d": null', FORM, StopReason.LENGTH)
    assert reading.answer == {"a": "x"}
    assert "answer_cut_off" in {warning.code for warning in reading.warnings}


@pytest.mark.parametrize(
    "written",
    [
        '{"a": "x", "d": 1} No, it is {"a": "y", "d": "12 or 13"}',
        '{"a": "x", "d": 1} No, it is {"a": "y", "d": "1,234"}',
        '{"a": "x", "d": 1} No, it is {"a": "y", "d": ',
    ],
)
def test_an_earlier_answer_is_not_given_in_place_of_a_later_one_that_cannot_be_read(written):
    with pytest.raises(AnswerError) as caught:
        read(written, FORM)
    assert caught.value.fallback is not None
    assert caught.value.fallback.warnings


def test_the_rest_of_a_doubtful_object_is_not_the_answer():
    doubtful = '{"a": "”]", // c\n"c": ["”}{", // c\n"y"], "d": 1, // c\n"b": "z"}'
    with pytest.raises(AnswerError, match="quotes in it"):
        read(doubtful, FORM)


def test_a_doubtful_object_that_is_given_again_does_not_count():
    again = '{"a": "say "x" "y" z", "d": 1}\nAgain: {"a": "z", "d": 2}'
    assert answer_in(again, FORM) == {"a": "z", "d": 2}
