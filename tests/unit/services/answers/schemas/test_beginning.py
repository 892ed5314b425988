"""The prefilled beginning of an answer, which is joined to the model's continuation."""

import pytest

from app.domain.generation import StopReason
from app.services.answers.form import Model
from app.services.answers.schemas.beginning import beginning, whole
from app.services.tasks.caption import CaptionAnswer
from app.services.tasks.grounding import GroundingAnswer
from app.services.tasks.ocr_answers import Rows
from app.services.tasks.vqa import VqaAnswer

CAPTION, BOXES, ROWS = Model(CaptionAnswer), Model(GroundingAnswer), Model(Rows)
STOP = StopReason.STOP


@pytest.mark.parametrize(
    ("form", "begun"),
    [
        (CAPTION, '{"caption": "'),
        (BOXES, '{"objects": ['),
        (Model(VqaAnswer), '{"answer":'),
    ],
)
def test_an_answer_is_prefilled_with_the_beginning_of_its_form(form, begun):
    assert beginning(form.schema) == begun


def test_only_the_bracket_is_prefilled_where_a_key_occurs_twice():
    inner = {"type": "array", "items": {"type": "object", "properties": {"name": {}}}}

    assert beginning({"properties": {"name": {"type": "string"}, "parts": inner}}) == "{"
    assert beginning({"type": "object"}) == ""


def full(form, text, stop=STOP):
    return whole(beginning(form.schema), text, stop, form.schema)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (CAPTION, 'A cat", "alt": "cat", "tags": []}'),
        (CAPTION, 'A sign: {open}", "alt": "sign", "tags": ["a"]'),
        (BOXES, '{"label": "cat", "box": [0, 0, 1, 1]}]}'),
        (BOXES, "]}"),
        (ROWS, '["a", "b"]]}'),
    ],
)
def test_text_that_continues_the_prefilled_beginning_is_joined_to_it(form, text):
    assert full(form, text) == beginning(form.schema) + text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (CAPTION, '{"caption": "A cat", "alt": "cat", "tags": []}'),
        (CAPTION, '```json\n{"caption": "A cat"}\n```'),
        (CAPTION, 'Here it is: {"caption": "A cat"}'),
        (CAPTION, '{"tags": ["cat"]}'),
        (CAPTION, "I can't help with that."),
        (CAPTION, 'I can\'t read the word "open" in it.'),
        (BOXES, '{"objects": [{"label": "cat", "box": [0, 0, 1, 1]}]}'),
        (BOXES, '[{"label": "cat", "box": [0, 0, 1, 1]}]'),
        (CAPTION, ""),
    ],
)
def test_an_answer_that_starts_anew_or_contains_no_object_is_read_alone(form, text):
    assert full(form, text) == text


def test_a_repeated_opening_quote_is_not_doubled():
    assert full(CAPTION, '"A cat", "alt": ""}') == '{"caption": "A cat", "alt": ""}'
    assert full(CAPTION, '", "alt": ""}') == '{"caption": "", "alt": ""}'


def test_a_guardrails_message_is_not_joined_to_the_beginning():
    assert full(CAPTION, 'Blocked."', StopReason.GUARDRAIL) == 'Blocked."'


def test_a_truncated_answer_keeps_its_prefilled_beginning():
    assert full(CAPTION, "A cat on", StopReason.LENGTH) == '{"caption": "A cat on'
