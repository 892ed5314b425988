"""Answers in which the model refuses, loops or is cut off."""

import json
from typing import Any

import pytest

from app.domain.generation import Completion, StopReason
from app.domain.usage import Usage
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.model.scripted import ScriptedVisionModel, completion

ANSWER = '{"answer": "A cat", "confidence": "high", "evidence": "whiskers"}'
ASKED = {"question": "What is it?", "images": [b64(ASTRONAUT)]}
SORRY = "I'm sorry, but I can't help with that."
LOOP = '{"steps": ["one",' + '"So we look again at the apples.",' * 40
FORM: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "shop",
        "schema": {
            "type": "object",
            "properties": {"vendor": {"type": "string"}, "total": {"type": "number"}},
            "required": ["vendor", "total"],
        },
    },
}


@pytest.fixture
def model() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=[ANSWER])


def chat(client: Any, **more: Any) -> Any:
    url = f"data:image/png;base64,{b64(ASTRONAUT)}"
    parts = [{"type": "text", "text": "Who?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {
        "model": "us.meta.llama3-2-11b-instruct-v1:0",
        "messages": [{"role": "user", "content": parts}],
        "response_format": FORM,
        **more,
    }
    return client.post("/v1/chat/completions", json=body)


def test_a_refusal_is_reported_with_its_words_and_not_retried(client, model):
    model.answers = [SORRY]
    body = client.post("/v1/tasks/vqa", json=ASKED).json()

    assert (body["valid"], body["refused"], body["image_not_seen"]) == (False, True, False)
    assert body["refusal"] == SORRY
    assert body["faults"] == [f"refused: {SORRY}"]
    assert (body["calls"], body["repaired"], body["generation"]) == (1, False, SORRY)


def test_an_answer_saying_that_no_picture_was_seen_is_recognised(client, model):
    model.answers = ["I don't see any image. Please provide the image."]
    body = client.post("/v1/tasks/vqa", json=ASKED).json()

    assert (body["valid"], body["refused"], body["image_not_seen"]) == (False, False, True)
    assert body["faults"][0].startswith("image_not_seen: ")
    assert body["calls"] == 1


def test_a_refusal_in_one_field_leaves_the_others(client, model):
    model.answers = [json.dumps({"vendor": SORRY, "total": 42.1})]
    schema = FORM["json_schema"]["schema"]
    body = client.post(
        "/v1/tasks/extract", json={"schema": schema, "images": ASKED["images"]}
    ).json()

    result = body["result"]
    fields = {"vendor": None, "total": 42.1}
    assert (result["fields"], result["not_found"], result["conflicts"]) == (fields, ["vendor"], [])
    (page,) = result["pages"]
    assert (page["fields"], page["not_found"], page["error"]) == (fields, ["vendor"], None)
    assert (body["valid"], body["refused"], body["calls"]) == (True, True, 1)
    assert body["faults"] == [f"refused: {SORRY}"]


def test_a_number_of_sixty_digits_is_returned_in_full(client, model):
    digits = "9" * 60
    model.answers = [f'{{"vendor": "ACME", "total": {digits}}}']
    schema = FORM["json_schema"]["schema"]
    answer = client.post("/v1/tasks/extract", json={"schema": schema, "images": ASKED["images"]})

    assert answer.json()["result"]["fields"]["total"] == int(digits)


def test_a_refused_page_is_reported_beside_those_that_were_read(client, model):
    model.answering = lambda request: (
        SORRY if request.turns[0].images[0].width == 512 else '{"text": "HELLO"}'
    )
    images = [b64(ROCKET), b64(ASTRONAUT)]
    body = client.post("/v1/tasks/ocr", json={"images": images}).json()

    assert [page["text"] for page in body["result"]["pages"]] == ["HELLO", None]
    assert body["faults"] == [f"page 2: refused: {SORRY}"]
    assert (body["refused"], body["calls"]) == (True, 2)


def test_refusals_are_counted(client, model):
    model.answers = [SORRY, "I can't see an image."]
    for _ in range(2):
        client.post("/v1/tasks/vqa", json=ASKED)
    lines = client.get("/metrics").text.splitlines()

    for kind in ("refused", "image_not_seen"):
        assert f'llama_vision_model_refusals_total{{kind="{kind}"}} 1.0' in lines


def test_a_cut_off_answer_is_marked_on_its_page(client, model):
    model.answering = lambda request: (
        completion('{"text": "HELLO\\nTOTAL 42.1', StopReason.LENGTH)
        if request.turns[0].images[0].width == 512
        else '{"text": "WHOLE"}'
    )
    images = [b64(ROCKET), b64(ASTRONAUT)]
    body = client.post("/v1/tasks/ocr", json={"images": images}).json()
    whole, cut = body["result"]["pages"]

    assert (whole["text"], whole["warnings"]) == ("WHOLE", [])
    assert cut["text"] == "HELLO\nTOTAL"
    assert [warning["code"] for warning in cut["warnings"]] == ["answer_cut_off"]
    assert [w["message"][:8] for w in body["warnings"]] == ["page 2: "]


def test_a_loop_is_asked_again_at_a_higher_temperature_without_the_repetitions(client, model):
    model.answers = [completion(LOOP, StopReason.LENGTH), '{"steps": ["one"], "answer": "3"}']
    body = client.post("/v1/tasks/reasoning", json=ASKED).json()
    first, second = model.requests

    assert (body["valid"], body["calls"], body["result"]["answer"]) == (True, 2, "3")
    assert first.sampling.temperature == 0.2
    assert second.sampling.temperature == 0.7
    assert second.turns[1].text.count("apples") == 1


def test_a_loop_in_a_usable_answer_is_cut_with_a_warning(client, model):
    cut = '{"caption": "A cat.", "alt": "Cat", "tags": ["pet",' + '"cat",' * 100
    model.answers = [completion(cut, StopReason.LENGTH)]
    body = client.post("/v1/tasks/caption", json={"images": ASKED["images"]}).json()

    assert body["result"]["tags"] == ["pet", "cat"]
    assert "repetition" in [warning["code"] for warning in body["warnings"]]
    assert body["calls"] == 1


def test_a_plain_answer_cut_off_in_a_loop_has_a_warning(client, model):
    model.answers = [completion("Apples. " * 200, StopReason.LENGTH)]
    body = client.post("/v1/generate", json={"prompt": "Why?"}).json()

    assert [warning["code"] for warning in body["warnings"]] == ["repetition"]
    assert body["generation"] == "Apples. " * 200


def test_a_stream_is_ended_early_in_a_loop(client, model):
    model.answers = ["So we look again at the apples. " * 400]
    answer = client.post("/v1/generate", json={"prompt": "Why?", "stream": True})
    events = [line for line in answer.text.splitlines() if line.startswith("data:")]
    done = json.loads(events[-1].removeprefix("data:"))

    assert done["stop_reason"] == "repetition"
    assert [warning["code"] for warning in done["warnings"]] == ["repetition"]
    assert answer.text.count("apples") < 60


def test_a_refused_structured_answer_is_openais_refusal(client, model):
    model.answers = [SORRY]
    (choice,) = chat(client).json()["choices"]

    assert choice["message"]["refusal"] == SORRY
    assert choice["generation"] == SORRY
    assert len(model.requests) == 1


def test_a_structured_answer_carries_its_raw_text(client, model):
    raw = '```json\n{"vendor": "ACME", "total": "$1,234.50"}\n```'
    model.answers = [raw]
    (choice,) = chat(client).json()["choices"]

    assert json.loads(choice["message"]["content"]) == {"vendor": "ACME", "total": 1234.5}
    assert choice["message"]["refusal"] is None
    assert choice["generation"] == raw


def test_a_structured_streams_last_chunk_carries_the_raw_text(client, model):
    model.answers = ["not JSON", '{"vendor": "ACME", "total": 3}']
    answer = chat(client, stream=True)
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line[6:7] == "{"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]

    assert choices[-1]["generation"] == 'not JSON\n\n{"vendor": "ACME", "total": 3}'
    assert all("generation" not in choice for choice in choices[:-1])


def test_an_unstructured_answer_carries_no_raw_text(client, model):
    (choice,) = chat(client, response_format=None).json()["choices"]

    assert choice["generation"] is None


def test_tokens_and_time_of_both_calls_of_a_structured_answer_are_counted(client, model):
    model.answers = [
        Completion("nothing", Usage(100, 10), StopReason.STOP, "stop", latency_ms=7),
        '{"vendor": "ACME", "total": 3}',
    ]
    body = chat(client).json()

    assert body["usage"]["total_tokens"] == 220
    assert len(model.requests) == 2


def test_an_empty_answer_is_asked_for_again_unchanged(client, model):
    model.answers = ["  ", ANSWER]
    body = client.post("/v1/tasks/vqa", json=ASKED).json()
    first, second = model.requests

    assert body["valid"] is True
    assert second.turns == first.turns
    assert second.sampling.temperature == 0.7
