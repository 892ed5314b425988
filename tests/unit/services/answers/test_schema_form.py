"""A caller's JSON Schema: what is refused, and how answers are read under it."""

import json
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field

from app.services.answers.exact import SchemaForm
from app.services.answers.schema_form import CallerForm
from app.services.answers.schemas.schema import MAX_DEPTH, SchemaError
from app.services.answers.text.notes import AnswerError
from tests.support.model.reading import answer_in


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = an_object(a=schema)
    return schema


# One level more than can be serialised, and one less than the validator refuses.
ROW: list[Any] = []
for _ in range(251):
    ROW = [ROW]

LOOP = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/node"}},
    "required": ["next"],
}
DOUBLING = {
    f"d{i}": an_object(a={"$ref": f"#/$defs/d{i + 1}"}, b={"$ref": f"#/$defs/d{i + 1}"})
    for i in range(7)
}

REFUSED = {
    "no object": ({"type": "array", "items": {"type": "string"}}, "object with properties"),
    "no properties": ({"type": "object"}, "object with properties"),
    "a reference to the web": (an_object(a={"$ref": "https://example.org/s"}), "outside itself"),
    "a reference to a file": (an_object(a={"$ref": "file:///etc/passwd"}), "outside itself"),
    "a reference to nothing": (an_object(a={"$ref": "#/$defs/a"}), "not there"),
    "a reference to nothing but itself": ({"$ref": "#"}, "refers to itself"),
    "a reference to itself": ({**LOOP, "$defs": {"node": LOOP}}, "refers to itself"),
    "a dynamic reference": (an_object(a={"$dynamicRef": "#a"}), "dynamicRef"),
    "deep nesting": (nested(MAX_DEPTH + 2), "nested deeper"),
    "many parts": (an_object(**{f"p{i}": {} for i in range(500)}), "more than 400 parts"),
    "parts that multiply": (
        {**an_object(a={"$ref": "#/$defs/d0"}), "$defs": {**DOUBLING, "d7": {"type": "string"}}},
        "more than 400 parts|nested deeper",
    ),
    "an unknown type": (an_object(a={"type": "money"}), "not a JSON Schema"),
    "a pattern that is none": (an_object(a={"type": "string", "pattern": "("}), "not a JSON"),
    "a pattern that takes megabytes": (
        an_object(a={"type": "string", "pattern": "(?:a{1000}){1000}"}),
        "not a JSON",
    ),
    "a number that no prompt can carry": (an_object(a={"maximum": 2**64}), "64-bit"),
    "a default nested deeper than a prompt can carry": (an_object(a={"default": ROW}), "limit"),
    "many patterns": (
        an_object(**{f"p{i}": {"type": "string", "pattern": "a"} for i in range(51)}),
        "more than 50 patterns",
    ),
    "a text that multiplies": (
        {
            **an_object(**{f"p{i}": {"$ref": "#/$defs/d"} for i in range(30)}),
            "$defs": {"d": {"type": "string", "description": "x" * 10_000}},
        },
        "longer texts and lists",
    ),
    "a list that multiplies": (
        {
            **an_object(**{f"p{i}": {"$ref": "#/$defs/d"} for i in range(30)}),
            "$defs": {"d": {"enum": [f"w{i}" for i in range(2_000)]}},
        },
        "longer texts and lists",
    ),
    "a part that is no schema": (an_object(a=7), "not an object"),
}


@pytest.mark.parametrize(("schema", "reason"), REFUSED.values(), ids=REFUSED)
def test_an_unsupported_or_excessive_schema_is_refused_with_the_reason(schema, reason):
    with pytest.raises(SchemaError, match=reason):
        CallerForm(schema)
    with pytest.raises(SchemaError, match=reason):
        SchemaForm(schema)


RECEIPT = {
    "type": "object",
    "required": ["vendor", "total"],
    "properties": {
        "vendor": {"type": "string"},
        "total": {"type": "number", "minimum": 0},
        "count": {"type": "integer"},
        "currency": {"enum": ["EUR", "USD"]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "$defs": {"item": an_object(name={"type": "string"}, price={"type": "number"})},
}


def test_a_complete_answer_is_valid_under_the_schema_as_sent():
    filled = CallerForm(RECEIPT).check(
        {
            "vendor": "Shop",
            "total": "42.10",
            "count": "2",
            "currency": "EUR",
            "items": [{"name": 7, "price": 1}],
        }
    )

    assert filled.fields["total"] == 42.1
    assert filled.fields["count"] == 2
    assert filled.fields["items"] == [{"name": "7", "price": 1}]
    assert filled.not_found == ()
    assert jsonschema_rs.is_valid(RECEIPT, filled.fields)


def test_missing_fields_are_null_and_listed():
    filled = CallerForm(RECEIPT).check({"vendor": "Shop", "items": [{"name": "Tea"}]})

    assert filled.fields["total"] is None
    assert filled.not_found == ("total", "count", "currency", "items.0.price")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"vendor": "Shop", "total": -1}, "total"),
        ({"vendor": "Shop", "total": "a lot"}, "total"),
        ({"currency": "GBP"}, "currency"),
        ({"vendor": ["Shop", "Café"]}, "vendor"),
        ({"shop": "Shop"}, "none of the properties"),
    ],
)
def test_an_answer_that_violates_the_schema_is_refused(answer, fault):
    with pytest.raises(AnswerError, match=fault):
        CallerForm(RECEIPT).check(answer)


def test_a_catastrophically_backtracking_pattern_is_decided_at_once():
    form = CallerForm(an_object(a={"type": "string", "pattern": "^(a+)+$"}))

    with pytest.raises(AnswerError):
        form.check({"a": "a" * 5000 + "!"})


def test_an_answer_is_found_within_its_wrapping():
    text = 'The fields:\n```json\n{"vendor": "Shop", "total": 3,}\n```'

    assert answer_in(text, CallerForm(RECEIPT)).fields["vendor"] == "Shop"


TREE = {
    **an_object(
        name={"type": "string"},
        children={"type": "array", "items": {"$ref": "#"}},
        next={"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        named={"type": "object", "additionalProperties": {"$ref": "#"}},
        other={"$ref": "#"},
    ),
    "required": ["name"],
}


def tree(depth: int) -> dict[str, Any]:
    below = [] if depth == 0 else [tree(depth - 1)]
    return {"name": f"level {depth}", "children": below}


@pytest.mark.parametrize("form", [SchemaForm, CallerForm])
def test_a_recursive_schema_is_accepted_to_a_bounded_depth(form):
    written = form(TREE)

    written.check(tree(1))
    with pytest.raises(AnswerError):
        written.check(tree(9))


class Cat(BaseModel):
    kind: Literal["cat"]
    kitten: list["Owner"]


class Dog(BaseModel):
    kind: Literal["dog"]
    friend: "Owner | None" = None


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


def test_recursive_types_with_a_discriminator_are_accepted():
    form = SchemaForm(Owner.model_json_schema())

    cat = {"pet": {"kind": "cat", "kitten": []}}
    assert form.check(cat) == cat
    assert form.check({"pet": {"kind": "dog", "friend": None}})["pet"]["kind"] == "dog"
    with pytest.raises(AnswerError):
        form.check({"pet": {"kind": "bird"}})


@pytest.mark.parametrize(
    "annotation",
    [
        {"deprecated": True},
        {"readOnly": True},
        {"contentMediaType": "application/json", "contentSchema": {"type": "object"}},
        {"propertyNames": {"type": "string"}},
    ],
)
def test_annotations_that_restrict_nothing_are_accepted(annotation):
    form = SchemaForm(an_object(a={"type": "string", **annotation}))

    assert form.check({"a": "b"}) == {"a": "b"}


def test_answers_valid_under_a_depth_limited_schema_are_valid_under_the_callers():
    ours, callers = jsonschema_rs.validator_for(SchemaForm(TREE).schema), TREE
    theirs = jsonschema_rs.validator_for(callers)
    for key, value in {
        "children": [{"name": 5}],
        "next": {"name": 5},
        "named": {"a": {"name": 5}},
        "other": {"name": 5},
    }.items():
        answer: dict[str, Any] = {"name": "deepest", key: value}
        for _ in range(5):
            assert not theirs.is_valid(answer)
            assert not ours.is_valid(answer)
            answer = {"name": "above", "children": [answer]}


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("date-time", "2024-05-01T10:00:00Z", "yesterday"),
        ("date", "2024-05-01", "1 May"),
        ("uuid", "9f1c3c52-7f0b-4f5e-9a55-0d5c1d3c1a01", "nine"),
        ("email", "a@example.org", "a at example"),
        ("ipv4", "127.0.0.1", "999.1"),
        ("uri", "https://example.org/a", "no address"),
        # Valid under JSON Schema, but unreadable for SDKs' types.
        ("date", "2024-02-29", "0000-01-01"),
        ("date-time", "2024-05-01t10:00:00.123456789z", "2024-12-31T23:59:60Z"),
        ("time", "10:00:00Z", "23:59:60Z"),
        ("uri", "mailto:a@example.org", "https://"),
        ("uri", "https://example.org:443", "https://example.org:99999"),
        ("email", "a.b@example.co.uk", "a@b"),
        # Formats of pydantic's own types.
        ("ipv4network", "10.0.0.0/8", "10.0.0.1/8"),
        ("ipv6interface", "::1/64", "one"),
        ("ipvanyaddress", "::1", ""),
        ("ipvanynetwork", "10.0.0.0/8", "ten"),
        ("json-string", '{"a": 1}', "{"),
        ("multi-host-uri", "postgres://a:b@one:1,two:2/db", "-"),
        ("uuid4", "9f0d2a1e-6c1b-4b7e-8f61-2d1c9f0c1a2b", "9f0d2a1e-6c1b-1b7e-8f61-2d1c9f0c1a2b"),
        ("base64", "aGk=", "a"),
        ("base64url", "_-8=", "a"),
    ],
)
def test_strings_have_the_format_that_a_response_format_names(name, right, wrong):
    form = SchemaForm(an_object(a={"type": "string", "format": name}))

    assert form.check({"a": right}) == {"a": right}
    with pytest.raises(AnswerError, match=name):
        form.check({"a": wrong})


CARD = {
    "type": "object",
    "properties": {"kind": {"const": "card"}, "number": {"type": "string"}},
    "required": ["kind", "number"],
    "additionalProperties": False,
}
CASH = {
    "type": "object",
    "properties": {"kind": {"const": "cash"}, "amount": {"type": "number"}},
    "required": ["kind", "amount"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
@pytest.mark.parametrize(
    ("written", "paid"),
    [
        ('{"kind": "card", "number": 42}', {"kind": "card", "number": "42"}),
        ('{"kind": "cash", "amount": "42.10"}', {"kind": "cash", "amount": 42.1}),
        ('{"Kind": "Cash", "Amount": 42.10}', {"kind": "cash", "amount": 42.1}),
    ],
)
def test_an_object_is_read_by_the_alternative_that_describes_it(keyword, written, paid):
    form = SchemaForm({**an_object(paid={keyword: [CARD, CASH]}), "required": ["paid"]})

    assert answer_in(f'{{"paid": {written}}}', form) == {"paid": paid}


def test_a_required_null_of_an_alternative_is_kept():
    node = {
        "type": "object",
        "properties": {
            "value": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        },
        "required": ["value", "next"],
        "additionalProperties": False,
    }
    form = SchemaForm(
        {
            **an_object(first={"$ref": "#/$defs/node"}),
            "required": ["first"],
            "$defs": {"node": node},
        }
    )
    written = {"first": {"value": "a", "next": {"value": "b", "next": None}}}

    assert answer_in(json.dumps(written), form) == written


def test_a_closed_tuple_as_the_only_property_is_read():
    pair = {"type": "array", "prefixItems": [{"type": "string"}], "items": False}

    assert answer_in('{"pair": ["a"]}', SchemaForm(an_object(pair=pair))) == {"pair": ["a"]}
    with pytest.raises(AnswerError):
        answer_in('{"pair": ["a", 1]}', SchemaForm(an_object(pair=pair)))


@pytest.mark.parametrize("written", ["NaN", "-Infinity"])
def test_what_is_no_number_is_no_text_either_where_both_are_allowed(written):
    either = {"anyOf": [{"type": "number"}, {"type": "string"}]}

    with pytest.raises(AnswerError, match="is not a number"):
        answer_in(f'{{"a": {written}}}', SchemaForm(an_object(a=either)))
    assert answer_in('{"a": "NaN"}', SchemaForm(an_object(a=either))) == {"a": "NaN"}
