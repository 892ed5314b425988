"""Strict evidence: unsupported parts of an answer are asked for again."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.domain.errors import GuardrailBlockedError, ModelThrottledError
from app.domain.generation import StopReason
from app.domain.usage import Usage
from tests.support.files.drawn_words import words
from tests.support.files.ocr_pages import LineReader
from tests.support.files.pictures import b64
from tests.support.model.scripted import Answer, ScriptedVisionModel, completion
from tests.support.service.application import Rig

PICTURE = words("Corner Shop")
READ = ("Corner Shop", "Tea 1.00", "Cake 2.00", "Soup 3.00", "Total: 6.00")
ITEMS = [{"name": "Tea", "price": 1}, {"name": "Cake", "price": 2}, {"name": "Soup", "price": 3}]
RIGHT = {"vendor": "Corner Shop", "items": ITEMS, "total": 6}
WRONG = {**RIGHT, "total": 99.99}
ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "vendor": {"type": "string"},
        "items": {"type": "array", "items": ITEM},
        "total": {"type": "number"},
    },
}
QUOTED = {"found": True, "answer": "6.00", "quote": "It is 6.00 in all", "relevance": 1}


@pytest.fixture(scope="module")
def script() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=[""])


@pytest.fixture(scope="module")
def service(script: ScriptedVisionModel) -> Iterator[httpx.Client]:
    with Rig(script, reader=LineReader(READ)).client() as client:
        yield client


@pytest.fixture
def strict(service: httpx.Client, script: ScriptedVisionModel) -> Any:
    def ask(task: str, *answers: Any, **parameters: Any) -> dict[str, Any]:
        script.requests.clear()
        script.answers = [_said(answer) for answer in answers]
        body = {"images": [b64(PICTURE)], "verify": "strict", **parameters}
        answer = service.post(f"/v1/tasks/{task}", json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        assert told["valid"], told["faults"]
        return told

    return ask


def _said(answer: Any) -> Answer:
    return json.dumps(answer) if isinstance(answer, dict) else answer


def test_an_unsupported_value_is_asked_for_once_more(strict, script):
    body = strict("extract", WRONG, {**RIGHT, "vendor": "Someone else"}, schema=SCHEMA)

    # The vendor was supported and stays.
    assert body["result"]["fields"] == RIGHT
    assert (body["calls"], body["repaired"], body["prompt_token_count"]) == (2, False, 200)
    again = script.requests[1].turns[-1].text
    assert "total: 99.99" in again
    assert "Corner Shop" not in again


def test_each_of_the_models_answers_counts_as_a_reading(strict):
    body = strict("extract", WRONG, {**RIGHT, "vendor": "Someone else"}, schema=SCHEMA)
    fields = body["evidence"]["fields"]

    # Of three readings the first did not say this total, nor the second this vendor.
    assert [fields[name]["confidence"] for name in ("vendor", "total")] == [0.6667, 0.6667]
    assert [item["price"]["confidence"] for item in fields["items"]] == [1, 1, 1]


def test_an_equal_value_at_another_path_is_not_agreement(strict):
    amount = {"type": "object", "properties": {"amount": {"type": "number"}}}
    schema = {"type": "object", "properties": {"net": amount, "gross": amount}}
    first = {"net": {"amount": 6}, "gross": {"amount": 99}}
    body = strict("extract", first, {"net": {"amount": 5}, "gross": {"amount": 6}}, schema=schema)

    assert body["evidence"]["fields"]["net"]["amount"]["confidence"] == 0.6667


def test_a_second_answer_leads_to_no_third_call(strict):
    body = strict("extract", WRONG, WRONG, RIGHT, schema=SCHEMA)

    assert body["evidence"]["fields"]["total"]["match"] == "none"
    assert (body["result"]["fields"]["total"], body["calls"]) == (99.99, 2)


def test_an_unreadable_second_answer_is_not_repaired(strict):
    body = strict("extract", WRONG, "no object", RIGHT, schema=SCHEMA)

    assert body["result"]["fields"] == WRONG
    assert (body["calls"], body["repaired"]) == (2, False)


def test_a_stream_asks_once_more_per_page_and_ends_with_the_result(service, script):
    script.answers = [json.dumps(WRONG)]
    body = {"images": [b64(PICTURE)] * 2, "schema": SCHEMA, "verify": "strict", "stream": True}
    with service.stream("POST", "/v1/tasks/extract", json=body) as answer:
        events = [line for line in answer.iter_lines() if line.startswith(("event", "data"))]

    assert events[::2] == ["event: progress", "event: progress", "event: result"]
    result = json.loads(events[-1].removeprefix("data: "))
    assert (result["calls"], result["prompt_token_count"]) == (4, 400)
    assert result["result"]["fields"]["total"] == 99.99


def test_a_fully_supported_answer_is_not_asked_again(strict):
    assert strict("extract", RIGHT, schema=SCHEMA)["calls"] == 1


def test_the_first_answer_is_kept_if_the_second_call_fails(strict):
    body = strict("extract", WRONG, ModelThrottledError("later"), schema=SCHEMA)

    assert body["result"]["fields"] == WRONG
    assert body["result"]["pages"][0]["error"] is None


@pytest.mark.parametrize(("first", "verify"), [(json.dumps(WRONG), "strict"), ("{}, so", "off")])
def test_a_second_answer_blocked_by_a_guardrail_is_still_charged(service, script, first, verify):
    blocked = GuardrailBlockedError("blocked")
    blocked.usage = Usage(100, 20)
    script.answers = [first, blocked]
    body = {"images": [b64(PICTURE)], "schema": {**SCHEMA, "required": ["vendor"]}}
    answer = service.post("/v1/tasks/extract", json={**body, "verify": verify}).json()

    assert (answer["calls"], answer["prompt_token_count"]) == (2, 200)


@pytest.mark.parametrize(
    "second",
    ["I'm sorry, I can't help with that.", completion('{"vendor": "Cor', StopReason.LENGTH)],
)
def test_an_unused_second_answer_adds_no_warnings(strict, second):
    body = strict("extract", WRONG, second, schema=SCHEMA)

    assert (body["refused"], body["refusal"], body["faults"]) == (False, None, [])
    assert "answer_cut_off" not in {warning["code"] for warning in body["warnings"]}
    assert body["result"]["fields"] == WRONG


@pytest.mark.parametrize("others", [ITEMS[::2], ITEMS[1:], [ITEMS[1], ITEMS[0], ITEMS[2]]])
def test_a_list_is_not_merged_with_a_list_of_other_entries(strict, others):
    first = [ITEMS[0], {"name": "Cake", "price": 9.99}, ITEMS[2]]
    body = strict("extract", {**RIGHT, "items": first}, {**RIGHT, "items": others}, schema=SCHEMA)

    assert body["result"]["fields"]["items"] == first


def test_a_list_takes_supported_entries_from_a_second_answer_with_the_same_list(strict):
    first = [ITEMS[0], {"name": "Cake", "price": 9.99}, ITEMS[2]]

    assert strict("extract", {**RIGHT, "items": first}, RIGHT, schema=SCHEMA)["result"][
        "fields"
    ] == {**RIGHT, "items": ITEMS}


def test_two_answers_are_not_mixed_into_a_combination_that_the_schema_forbids(strict):
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Tea", "Cake"]}, "price": {"type": "number"}},
        "oneOf": [
            {"properties": {"name": {"const": "Tea"}, "price": {"maximum": 1}}},
            {"properties": {"name": {"const": "Cake"}, "price": {"minimum": 2}}},
        ],
    }
    first = {"name": "Cake", "price": 9.99}
    body = strict("extract", first, {"name": "Tea", "price": 1}, schema=schema)

    assert body["result"]["fields"] == first


def test_a_second_answer_that_drops_a_supported_value_is_not_used(strict):
    text = "\n".join((*READ[:4], "Total: 9.00"))

    assert strict("ocr", {"text": text}, {"text": READ[0]})["result"]["text"] == text


def test_a_second_answer_that_contradicts_a_supported_one_is_not_used(
    strict,
):
    second = {"found": True, "answer": "2.00", "quote": "Cake 2.00", "relevance": 1}

    assert strict("document-qa", QUOTED, second, question="Total?")["result"]["answer"] == "6.00"


@pytest.mark.parametrize("answer", ["No", "yes.", "Nein"])
def test_a_yes_or_no_answer_has_no_location_on_a_page(strict, answer):
    body = strict("document-qa", {**QUOTED, "answer": answer, "quote": READ[0]}, question="Paid?")

    assert "answer" not in body["evidence"]
    assert (body["evidence"]["quote"]["match"], body["calls"]) == ("exact", 1)


def test_a_better_supported_second_answer_is_used_whole(strict):
    body = strict("document-qa", QUOTED, {**QUOTED, "quote": READ[4]}, question="Total?")

    assert body["result"]["quote"] == READ[4]
    assert body["evidence"]["quote"]["match"] == "exact"
