"""Answers are valid under any schema, and empty where the picture shows nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from app.emulator.model.answers import Perception, answer
from app.emulator.model.facts import Facts, iso_date
from app.emulator.model.forms.schema_answer import filled
from app.emulator.model.lookup import number
from app.emulator.model.question import Question
from app.emulator.model.sight.pixels import Pixels
from app.emulator.model.sight.text_lines import TextLines, Word, assembled
from app.emulator.wire.bodies.conversation import Ask, Sampling

PIXELS = Pixels(640, 480, "png", (("white", 80), ("blue", 20)), 200, 40, 30, "top", "0" * 16)


def row(text: str, y: float) -> tuple[tuple[Word, ...], float]:
    words = text.split()
    return tuple(
        Word(word, (0.1 + 0.2 * i, y, 0.28 + 0.2 * i, y + 0.04)) for i, word in enumerate(words)
    ), 0.9


LINES = assembled([row("Invoice 77", 0.1), row("Total: 1,234.50", 0.2), row("Paid: yes", 0.3)])
EMPTY = Facts(Question("Extract it", None), None, TextLines())
FULL = Facts(Question("Extract it", None), PIXELS, LINES)

SEEN = Perception((PIXELS,), LINES)

SCHEMAS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "minLength": 4},
    {"type": "string", "maxLength": 3},
    {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    {"type": "string", "enum": ["a", "b"]},
    {"const": {"a": 1}},
    {"enum": [None, 1]},
    {"type": "null"},
    {"type": "boolean"},
    {"type": "integer", "minimum": 3},
    {"type": "integer", "exclusiveMinimum": 0},
    {"type": "number", "exclusiveMaximum": 0, "minimum": -1},
    {"type": "number", "maximum": -5},
    {"type": "integer", "multipleOf": 7, "minimum": 10},
    {"type": ["integer", "null"]},
    {"type": ["null", "string"]},
    {"type": "array", "items": {"type": "string"}, "minItems": 2},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 1},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
    {"type": "array"},
    {"type": "object"},
    {"type": "object", "required": ["a"]},
    {
        "type": "object",
        "properties": {"total": {"type": "number"}, "b": {"type": "boolean"}},
        "required": ["total", "b"],
        "additionalProperties": False,
    },
    {"anyOf": [{"type": "null"}, {"type": "number"}]},
    {"oneOf": [{"type": "integer", "minimum": 5}, {"type": "string"}]},
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
                "required": ["name"],
            }
        },
    },
    {
        "type": "object",
        "properties": {
            "lines": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string"},
                        "box": {
                            "type": "array",
                            "items": {"type": "number", "minimum": 0, "maximum": 1},
                            "minItems": 4,
                            "maxItems": 4,
                        },
                        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                    },
                    "required": ["text", "box", "confidence"],
                },
            },
            "tables": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "string"}},
            },
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        },
        "required": ["lines", "tables", "tags"],
    },
]


@pytest.mark.parametrize("facts", [EMPTY, FULL], ids=["empty", "full"])
@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_the_answer_is_valid_under_the_schema(schema: dict[str, Any], facts: Facts) -> None:
    Draft202012Validator(schema).validate(filled(schema, facts))


NAMES = st.sampled_from(["text", "lines", "total", "box", "items", "tables", "score", "tags", "x"])
NUMBERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["number", "integer"])},
    optional={
        "minimum": st.integers(-50, 10),
        "maximum": st.integers(20, 90),
        "multipleOf": st.integers(1, 9),
    },
)
TEXTS = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={"minLength": st.integers(0, 5), "maxLength": st.integers(5, 9)},
)
LEAVES = st.one_of(
    NUMBERS,
    TEXTS,
    st.just({"type": "boolean"}),
    st.just({"enum": ["yes", "no"]}),
    st.just({"type": ["string", "null"]}),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional={"minItems": st.integers(0, 2), "maxItems": st.integers(2, 4)},
    )
    objects = st.dictionaries(NAMES, inner, max_size=4).map(
        lambda properties: {
            "type": "object",
            "properties": properties,
            "required": sorted(properties)[::2],
            "additionalProperties": False,
        }
    )
    return st.one_of(lists, objects, inner.map(lambda s: {"anyOf": [s, {"type": "null"}]}))


@given(schema=st.recursive(LEAVES, _nested, max_leaves=8))
def test_any_schema_of_common_keywords_is_satisfied(schema: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema)
    validator.validate(filled(schema, FULL))
    validator.validate(filled(schema, EMPTY))


def test_a_recursive_schema_terminates() -> None:
    many = assembled([row(f"Line {n}: value", n / 20) for n in range(60)])
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
    }
    found = filled(schema, Facts(Question("Extract it", None), PIXELS, many))
    assert len(found["children"]) == 60
    assert found["children"][0]["children"] == []


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "object", "properties": []},
        {"type": "string", "pattern": "("},
        {"enum": []},
        {"anyOf": [{"$ref": "#/properties/a"}]},
        {"type": "array", "items": {"type": "string"}, "minItems": "two"},
    ],
)
def test_text_that_only_looks_like_a_schema_is_answered_in_words(broken: dict[str, Any]) -> None:
    ask = Ask("", (), Sampling())
    told = answer(
        ask, Question("", {"type": "object", "properties": {"a": broken}}), SEEN, seed=0
    ).text
    assert told.startswith("[emulator] I can't follow the JSON Schema in the prompt")


def test_an_empty_value_is_null_then_empty_then_the_least_allowed() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": ["number", "null"]},
            "b": {"type": "string"},
            "c": {"type": "array", "items": {"type": "string"}},
            "d": {"type": "number", "minimum": 2},
            "e": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "f": {"type": ["boolean", "null"]},
        },
    }
    assert filled(schema, EMPTY) == {"a": None, "b": "", "c": [], "d": 2, "e": None, "f": None}


@pytest.mark.parametrize(
    ("name", "schema", "value"),
    [
        ("total", {"type": "number"}, 1234.5),
        ("grandTotal", {"type": "string"}, "1,234.50"),
        ("amount", {"type": "number", "description": "The total to pay"}, 1234.5),
        ("x", {"type": "number", "title": "Total"}, 1234.5),
        ("paid", {"type": "boolean"}, True),
        ("invoice_number", {"type": "integer"}, 77),
        ("width", {"type": "integer"}, 640),
        ("orientation", {"enum": ["portrait", "landscape"]}, "landscape"),
        ("colour", {"type": "string"}, "white"),
        ("tags", {"type": "array", "items": {"type": "string"}}, ["white", "blue", "landscape"]),
        ("nothing", {"type": "string"}, ""),
    ],
)
def test_a_property_takes_the_value_next_to_its_name(
    name: str, schema: dict[str, Any], value: object
) -> None:
    found = filled({"type": "object", "properties": {name: schema}}, FULL)[name]
    assert (found[:3] if isinstance(found, list) else found) == value


@pytest.mark.parametrize(
    "keys",
    [
        ("x0", "y0", "x1", "y1"),
        ("x1", "y1", "x2", "y2"),
        ("left", "top", "right", "bottom"),
        ("xmin", "ymin", "xmax", "ymax"),
    ],
)
def test_the_sides_of_a_box_can_have_any_usual_names(keys: tuple[str, ...]) -> None:
    box = {"type": "object", "properties": {key: {"type": "number"} for key in keys}}
    schema = {"type": "object", "properties": {"total_box": box}}
    found = filled(schema, FULL)["total_box"]
    assert [found[key] for key in keys] == pytest.approx([0.1, 0.2, 0.48, 0.24])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42.10", 42.1),
        ("42,10", 42.1),
        ("1,234.50", 1234.5),
        ("1.234,50", 1234.5),
        ("1,234", 1234.0),
        ("$ 3", 3.0),
        ("-5 C", -5.0),
        ("1'000.5", 1000.5),
        ("none", None),
        ("", None),
        (".", None),
    ],
)
def test_numbers_are_read_in_everyday_notation(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on 2026-11-20", "2026-11-20"),
        ("3.2.2026", "2026-02-03"),
        ("3/12/2026", "2026-12-03"),
        ("x", ""),
    ],
)
def test_dates_become_iso_dates(text: str, value: str) -> None:
    assert iso_date(text) == value


def test_words_of_one_height_form_one_line_from_left_to_right() -> None:
    right = ((Word("42.10", (0.8, 0.201, 0.9, 0.241)),), 0.9)
    left = ((Word("Total", (0.1, 0.2, 0.2, 0.24)),), 0.8)
    below = ((Word("Thanks", (0.1, 0.3, 0.2, 0.34)),), 0.7)
    reading = assembled([below, right, left])
    assert reading.text == "Total 42.10\nThanks"
    assert reading.lines[0].score == 0.8
    assert reading.places("total 42.10") == [(0.1, 0.2, 0.9, 0.241)]
