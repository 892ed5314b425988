"""Answers of imported models constrained by a schema, a choice or a pattern."""

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from app.emulator.model.forms.pattern import UnsupportedPatternError, example
from app.emulator.wire.bodies.structured_output import constraint
from app.emulator.wire.errors import AwsError
from tests.support.emulator.bodies import chat, imported, plain, replied, streamed, written

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "sure": {"enum": ["low", "high"]}},
    "required": ["total", "sure"],
    "additionalProperties": False,
}
RECEIPT = written("Total: 42.10", "Date: 2024-05-17", size=(500, 200))


def said(runtime: Any, text: str, *images: bytes, **more: Any) -> str:
    """Return the content of a chat completion."""
    return str(replied(runtime, chat(text, *images, **more))["choices"][0]["message"]["content"])


def of_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the response format of a chat for this schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_an_answer_matches_its_schema_and_is_filled_from_the_picture(runtime: Any) -> None:
    answer = json.loads(said(runtime, "Extract it", RECEIPT, response_format=of_schema(SCHEMA)))
    Draft202012Validator(SCHEMA).validate(answer)
    assert answer["total"] == 42.1


@pytest.mark.parametrize("spelled", [SCHEMA, json.dumps(SCHEMA)], ids=["object", "text"])
def test_structured_outputs_accepts_a_schema_too(runtime: Any, spelled: Any) -> None:
    answer = json.loads(said(runtime, "Extract it", structured_outputs={"json": spelled}))
    Draft202012Validator(SCHEMA).validate(answer)


def test_bedrocks_completion_format_accepts_the_bare_schema(runtime: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": SCHEMA}
    answer = replied(runtime, json.dumps({"prompt": "Extract it", "response_format": wanted}))
    Draft202012Validator(SCHEMA).validate(json.loads(answer["generation"]))


def test_openais_completion_format_accepts_a_schema(runtime: Any) -> None:
    sent = {"prompt": "Extract it", "max_tokens": 99, "response_format": of_schema(SCHEMA)}
    answer = replied(runtime, json.dumps(sent))["choices"][0]["text"]
    Draft202012Validator(SCHEMA).validate(json.loads(answer))


@pytest.mark.parametrize("images", [(), (plain(),)])
def test_json_object_allows_any_object(runtime: Any, images: tuple[bytes, ...]) -> None:
    answer = json.loads(said(runtime, "Why?", *images, response_format={"type": "json_object"}))
    assert isinstance(answer, dict)


def test_response_format_text_is_unconstrained(runtime: Any) -> None:
    assert said(runtime, "Why?", response_format={"type": "text"}) == said(runtime, "Why?")


def test_a_choice_is_the_offered_option_that_the_picture_supports(runtime: Any) -> None:
    choices = ["invoice", "total", "letter"]
    outputs = {"choice": choices}
    assert said(runtime, "Which is it?", RECEIPT, structured_outputs=outputs) == "total"
    assert said(runtime, "Which is it?", structured_outputs=outputs) in choices


@pytest.mark.parametrize(("word", "answer"), [("Total", "Yes"), ("Elephant", "No")])
def test_yes_or_no_follows_from_the_picture(runtime: Any, word: str, answer: str) -> None:
    asked = f'Is "{word}" in the picture?'
    assert said(runtime, asked, RECEIPT, structured_outputs={"choice": ["Yes", "No"]}) == answer


def test_a_pattern_is_matched_by_words_of_the_picture(runtime: Any) -> None:
    date = r"\d{4}-\d\d-\d\d"
    asked = {"structured_outputs": {"regex": date}}
    assert said(runtime, "Which date?", RECEIPT, **asked) == "2024-05-17"
    assert re.fullmatch(date, said(runtime, "Which date?", plain(), **asked))


def test_a_streamed_answer_satisfies_its_constraint_too(runtime: Any) -> None:
    parts = streamed(runtime, chat("Extract it", response_format=of_schema(SCHEMA)))
    deltas = [part["choices"][0]["delta"] for part in parts if part["choices"]]
    text = "".join(delta.get("content", "") for delta in deltas)
    Draft202012Validator(SCHEMA).validate(json.loads(text))


def test_a_limit_truncates_even_a_structured_answer(runtime: Any) -> None:
    sent = chat("Extract it", response_format=of_schema(SCHEMA), max_tokens=4)
    (choice,) = replied(runtime, sent)["choices"]
    assert choice["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice["message"]["content"])


def with_keyword(keyword: str) -> dict[str, Any]:
    """Return a schema with a deeply nested keyword that grammars do not support."""
    return {"type": "object", "properties": {"a": {"items": {"type": "string", keyword: 2}}}}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"structured_outputs": {"grammar": "root ::= x"}}, "grammar is not supported"),
        ({"structured_outputs": {}}, "0 are specified"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "2 are specified"),
        ({"structured_outputs": {"choice": []}}, "choice must be a list"),
        ({"structured_outputs": {"regex": "("}}, "not a valid pattern"),
        ({"structured_outputs": {"regex": r"(?=a)b"}}, "not supported"),
        ({"structured_outputs": {"json": "{"}}, "not valid JSON"),
        ({"structured_outputs": {"verse": 1}}, "must hold one of"),
        ({"response_format": {"type": "xml"}}, "must be one of text, json_object, json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": SCHEMA}}, "name and schema"),
        ({"response_format": of_schema(with_keyword("multipleOf"))}, "compiler: multipleOf"),
        ({"response_format": of_schema(with_keyword("uniqueItems"))}, "compiler: uniqueItems"),
        (
            {
                "response_format": {"type": "json_object"},
                "structured_outputs": {"choice": ["a"]},
            },
            "can't be given together",
        ),
    ],
)
def test_a_constraint_that_the_engine_does_not_support_is_refused(
    runtime: Any, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ClientError) as caught:
        runtime.invoke_model(modelId=imported(), body=chat("Why?", **fields))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert told in caught.value.response["Error"]["Message"]


def test_a_property_may_be_named_like_an_unsupported_keyword() -> None:
    schema = {"type": "object", "properties": {"not": {"type": "string", "enum": ["if"]}}}
    held = constraint({"response_format": of_schema(schema)}, bare_schema=False)
    assert held is not None
    assert held.schema == schema


@pytest.mark.parametrize(
    "pattern",
    [
        "abc",
        "a|b",
        "(ab){3}",
        "(?:a|b)+c?",
        "(?P<year>[0-9]{4})-[01][0-9]",
        "[^a-z]{2,5}",
        r"[\]x]",
        "[]x]",
        r"\d{3}\.\d+",
        r"^\w+@\w+\.com$",
        r"\$\d{1,3}(,\d{3})*",
        r"\u00e9+|a{0}",
        "a{,3}b",
        "x{",
        ".*?end",
        r"\bword\b",
    ],
)
def test_an_example_of_a_pattern_matches_the_whole_pattern(pattern: str) -> None:
    assert re.fullmatch(pattern, example(pattern))


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?!a)b", "(?<=a)b", "[0-9]{20000}", "a^b"])
def test_an_unsupported_pattern_is_an_error_rather_than_a_wrong_text(pattern: str) -> None:
    with pytest.raises(UnsupportedPatternError):
        example(pattern)


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@given(st.text("ab01.[](){}|?*+^$\\d,-", max_size=12))
def test_an_example_matches_its_pattern_or_there_is_none(pattern: str) -> None:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError):
        return
    try:
        text = example(pattern)
    except UnsupportedPatternError:
        return
    assert compiled.fullmatch(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "json_schema", "name", "schema", "json", "choice", "x"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
    st.booleans(),
)
def test_any_value_of_a_constraint_is_parsed_or_refused(wanted: Any, bare: bool) -> None:
    for key in ("response_format", "structured_outputs"):
        kind: str | int | None = None
        try:
            held = constraint({key: wanted}, bare_schema=bare)
            kind = held.kind if held else None
        except AwsError as error:
            kind = error.kind.status
        assert kind in (None, "json", "choice", "regex", 400)
