"""Which output forms are sent upstream, and how."""

from typing import Any

import jsonschema_rs
import pytest

from app.domain.model import Capabilities
from app.domain.output import Choice, JsonObject, JsonSchema
from app.services.answers.enforcement import REMEMBERED, Enforcement
from app.services.answers.form import Model
from app.services.answers.schemas.grammar import grammar, small
from app.services.tasks import caption, chart, diagram, document_qa, grounding, inspection, vqa
from app.services.tasks.ocr_answers import Blocks, Lines, Marked, Plain, Rows

ABLE = Capabilities(structured_output=True, choice=True)
OWN = (
    caption.CaptionAnswer,
    chart.ChartAnswer,
    diagram.DiagramAnswer,
    document_qa.PageAnswer,
    grounding.GroundingAnswer,
    inspection.InspectionAnswer,
    vqa.VqaAnswer,
    Blocks,
    Lines,
    Marked,
    Plain,
    Rows,
)


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


CLOSED = an_object(label={"type": "string", "enum": ["cat", "dog"]})


def words_of(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {word for part in schema for word in words_of(part)}
    if not isinstance(schema, dict):
        return set()
    named = schema.get("properties", {})
    parts = [part for key, part in schema.items() if key != "properties"]
    return set(schema) | words_of([*parts, *named.values()])


@pytest.mark.parametrize("model", OWN, ids=lambda model: model.__name__)
def test_every_form_of_a_task_is_sent_as_a_small_schema(model):
    schema = Model(model).schema
    enforced = Enforcement(ABLE).enforced(schema)

    assert enforced is not None
    assert isinstance(enforced.form, JsonSchema)
    assert not words_of(enforced.form.schema) & {"description", "title", "default", "$ref", "$defs"}
    assert small(schema)


def test_no_form_is_sent_to_a_model_that_cannot_enforce_it():
    assert Enforcement(Capabilities()).enforced(CLOSED) is None


def test_a_closed_answer_is_a_choice_where_the_model_supports_one():
    enforced = Enforcement(ABLE).enforced(CLOSED)
    without = Enforcement(Capabilities(structured_output=True)).enforced(CLOSED)

    assert enforced is not None
    assert without is not None
    assert enforced.form == Choice(("cat", "dog"))
    assert enforced.answer(" cat\n") == '{"label":"cat"}'
    assert enforced.answer("neither") == "neither"
    assert isinstance(without.form, JsonSchema)


@pytest.mark.parametrize(
    "part",
    [
        {"enum": ["cat", None]},
        {"enum": [1, 2]},
        {"enum": ["cat"]},
        {"enum": ["cat", " dog"]},
        {"enum": [f"o{i}" for i in range(65)]},
        {"type": "string", "enum": ["cat", "dog"], "minLength": 4},
    ],
    ids=["null", "numbers", "one", "a space", "too many", "a bound"],
)
def test_forms_that_a_choice_cannot_express_become_a_schema(part):
    enforced = Enforcement(ABLE).enforced(an_object(label=part))

    assert enforced is not None
    assert isinstance(enforced.form, JsonSchema)


def test_a_schema_with_no_or_too_many_properties_becomes_any_object():
    many = an_object(**{f"p{i}": {"type": "string"} for i in range(130)})

    for schema in ({"type": "object"}, many):
        enforced = Enforcement(ABLE).enforced(schema)
        assert enforced is not None
        assert enforced.form == JsonObject()
        assert "Answer with one JSON object" in enforced.with_instructions("Say it.")


def test_a_bounded_number_of_refused_forms_is_remembered():
    enforcement = Enforcement(ABLE)
    forms = [enforcement.enforced(an_object(**{f"p{i}": {"type": "string"}})) for i in range(600)]
    for form in forms:
        assert form is not None
        enforcement.refuse(form)
    kept = [form is not None and enforcement.refused(form) for form in forms]

    assert kept == [False] * (600 - REMEMBERED) + [True] * REMEMBERED


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ({"a": "x", "b": None}, True),
        ({"a": "x"}, False),
        ({"a": "x", "b": 1, "c": 2}, False),
        ({"b": None}, False),
    ],
)
def test_a_grammar_lists_all_keys_and_requires_nullable_ones(value, allowed):
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string"}, "b": {"type": ["number", "null"]}},
    }

    assert jsonschema_rs.is_valid(grammar(schema), value) is allowed
    assert not allowed or jsonschema_rs.is_valid(schema, value)


def test_parts_combined_by_all_of_do_not_forbid_each_others_keys():
    one, other = an_object(a={"type": "string"}), an_object(b={"type": "string"})
    schema = {**an_object(c={"type": "string"}), "allOf": [one, other]}

    assert jsonschema_rs.is_valid(grammar(schema), {"a": "", "b": "", "c": ""})


def test_a_property_named_like_a_keyword_is_kept():
    schema = an_object(title={"type": "string"}, description={"type": "string", "title": "T"})

    assert grammar(schema)["properties"] == {
        "title": {"type": "string"},
        "description": {"type": "string"},
    }
