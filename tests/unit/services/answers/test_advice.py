"""The correction of an invalid answer: what to change, once for each kind of error."""

import pytest

from app.services.answers.advice import advice
from app.services.answers.form import Model
from app.services.answers.reading import read
from app.services.answers.schema_form import faults_of, validator
from app.services.answers.text.notes import AnswerError
from app.services.tasks.caption import CaptionAnswer
from app.services.tasks.grounding import GroundingAnswer


def faults(text, model):
    with pytest.raises(AnswerError) as caught:
        read(text, Model(model))
    return caught.value.faults


def test_boxes_in_pixels_are_corrected_to_fractions():
    wrong = '{"objects": [{"label": "cat", "box": [120, 80, 460, 300]}]}'

    said = advice(faults(wrong, GroundingAnswer))

    assert "divide left and right by its width" in said
    assert said.count("shares") == 1
    assert "Input" not in said


def test_prose_is_corrected_to_the_object_alone():
    assert advice(faults("It is a cat.", CaptionAnswer)) == (
        "Write the object alone: no words before or behind it."
    )


def test_a_missing_key_is_named():
    assert advice(faults('{"caption": "A cat"}', CaptionAnswer)) == "alt, tags: missing, add it"


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"type": "boolean"}, None, "a: write true or false"),
        ({"type": ["number", "null"]}, "x", "a: write a number, in digits"),
        ({"type": ["string", "array"]}, 5, "a: write a text in quotes or a list in [ ]"),
        ({"minimum": 1}, 0, "a: too small, at least 1"),
        ({"exclusiveMaximum": 1}, 1, "a: too large, less than 1"),
        ({"minLength": 1}, "", "a: empty, fill it in"),
        ({"maxLength": 3}, "abcd", "a: too long, at most 3 characters"),
        ({"maxItems": 1}, [1, 2], "a: too many entries, at most 1"),
        ({"minItems": 1}, [], "a: too few entries, at least 1"),
        ({"uniqueItems": True}, [1, 1], "a: entries come twice, write each once"),
        ({"required": ["b"]}, {}, "a: b is missing, add it"),
    ],
)
def test_errors_against_a_callers_schema_are_described_in_plain_words(schema, value, said):
    whole = {"properties": {"a": schema}}

    assert advice(list(faults_of(validator(whole), {"a": value}, whole))) == said


def test_one_error_at_many_paths_is_described_once():
    said = advice([f"points.{n}.y: Input should be a valid number" for n in range(8)])

    assert said == ("points.0.y, points.1.y, points.2.y and others: write a number, in digits")


def test_a_plain_description_is_left_unchanged():
    assert advice(["two nodes have one name; add a number to it"]) == (
        "two nodes have one name; add a number to it"
    )
