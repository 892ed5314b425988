"""The skeleton of an answer that a prompt shows instead of a schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from app.domain.model import Capabilities
from app.emulator.model import skeleton as emulated
from app.services.answers.form import Model, ModelAnswer, ModelPart
from app.services.answers.instruction import with_form
from app.services.answers.reading import read
from app.services.answers.schemas.skeleton import skeleton
from app.services.answers.text.notes import AnswerError
from app.services.tasks import TASKS


class Inner(ModelPart):
    """A docstring for programmers."""

    name: str


class Outer(ModelAnswer):
    """Another docstring for programmers."""

    answer: str | None = Field(description="in few words")
    inner: list[Inner]
    one: Inner


def test_a_skeleton_is_the_answer_with_placeholders():
    assert skeleton(Model(Outer).schema) == (
        '{"answer": string | null (in few words), "inner": [{"name": string}, ...], '
        '"one": {"name": string}}'
    )


def test_docstrings_are_not_sent_to_the_model():
    assert "programmers" not in with_form("Say.", Model(Outer).schema)


@pytest.mark.parametrize("beyond", [{"allOf": [{"type": "string"}]}, {"pattern": r"\(\d+"}])
def test_a_schema_that_a_skeleton_cannot_express_is_sent_as_a_schema(beyond):
    schema = {"type": "object", "properties": {"a": beyond}, "required": ["a"]}

    assert skeleton(schema) is None
    assert "JSON Schema" in with_form("Say.", schema)


def test_a_callers_bounds_and_formats_are_in_the_skeleton():
    part = {"type": "number", "minimum": 0, "maximum": 5, "description": "Stars (of 5"}
    day = {"type": "string", "format": "date"}
    code = {"type": "string", "pattern": "^[A-Z]{2}$", "maxLength": 2}
    schema = {"type": "object", "properties": {"stars": part, "day": day, "code": code}}

    assert skeleton(schema | {"required": ["stars", "day", "code"]}) == (
        '{"stars": number (Stars [of 5; 0 to 5), "day": string (as YYYY-MM-DD), '
        '"code": string (at most 2 characters; matching /^[A-Z]{2}$/)}'
    )


LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 1, "maximum": 9},
        {"type": "boolean"},
        {"enum": ["a", "b (c)"]},
        {"type": "string", "pattern": "^a+$", "description": "It; is 1 to 2"},
        {"type": "string", "maxLength": 3},
    ]
)
PARTS = st.recursive(
    LEAVES,
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | st.dictionaries(st.text(min_size=1, max_size=4), inner, min_size=1, max_size=3).map(
            lambda members: {
                "type": "object",
                "properties": members,
                "required": list(members),
            }
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(min_size=1, max_size=4), PARTS, min_size=1, max_size=3))
def test_the_emulator_parses_a_skeleton_back_into_its_schema(members):
    schema = {"type": "object", "properties": members, "required": list(members)}
    shown = skeleton(schema)
    assert shown is not None

    assert emulated.parsed(f"So: {shown} End.", 4) == (schema, 4 + len(shown))


PARAMETERS: dict[str, dict[str, Any]] = {
    "vqa": {"question": "Who?"},
    "reasoning": {"question": "Who?"},
    "document-qa": {"question": "Who?"},
    "extract": {
        "json_schema": {
            "type": "object",
            "properties": {"total": {"type": "number", "description": "with tax (gross)"}},
        }
    },
    "inspection": {"object": "weld"},
    "retrieval": {"query": "a cat"},
    "classify": {"labels": ["receipt", "invoice"]},
}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_skeleton_repeated_by_the_model_is_not_an_answer(task):
    parameters = task.parameters(**PARAMETERS.get(task.name, {}))
    form = task.questions(parameters, task.images.least, Capabilities())[0].form
    shown = skeleton(form.schema)
    assert shown is not None
    in_quotes = shown.replace("string", '"string"').replace("number", '"number"')

    for text in (shown, f"```json\n{shown}\n```", in_quotes, shown.replace(", ", ",\n  ")):
        with pytest.raises(AnswerError):
            read(text, form)
