"""POST /v1/tasks/…, over a socket, with a model that returns scripted answers."""

import json
from typing import Any

import pytest

from app.api.v1.tasks.schemas import camel
from app.domain.errors import ModelThrottledError
from app.domain.generation import Sampling, StopReason
from app.services.tasks import TASKS
from app.settings import Settings
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.model.scripted import ScriptedVisionModel, completion
from tests.support.service.application import Rig
from tests.support.service.openapi_document import DOCUMENT

ANSWER = '{"answer": "A cat", "confidence": "high", "evidence": "whiskers"}'
RESULT = {**json.loads(ANSWER), "found": True}
ASKED = {"question": "What is it?", "images": [b64(ASTRONAUT)]}


@pytest.fixture
def model() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=[ANSWER])


def test_a_task_answers_with_every_documented_field(client, model):
    answer = client.post("/v1/tasks/vqa", json=ASKED)

    assert answer.status_code == 200
    body = answer.json()
    assert body["id"].startswith("task_")
    assert body["task"] == "vqa"
    assert body["prompt_version"] == "vqa-2+system-3"
    assert body["model"] == "us.meta.llama3-2-11b-instruct-v1:0"
    assert body["valid"] is True
    assert body["result"] == RESULT
    assert body["faults"] == []
    assert body["generation"] == ANSWER
    assert (body["repaired"], body["calls"]) == (False, 1)
    assert (body["prompt_token_count"], body["generation_token_count"]) == (100, 10)
    assert body["stop_reason"] == "stop"
    assert [(i["width"], i["height"]) for i in body["images"]] == [(512, 512)]
    assert body["warnings"] == []
    assert body["latency_ms"]["model"] == 7


def test_an_upload_is_answered_like_json(client, model):
    answer = client.post(
        "/v1/tasks/vqa/upload",
        data={"question": "What is it?", "max_gen_len": "99"},
        files={"images": ("a.png", ASTRONAUT, "image/png")},
    )

    assert answer.json()["result"]["answer"] == "A cat"
    assert model.requests[0].sampling.max_gen_len == 99


def test_a_schema_is_sent_as_text_in_a_form(client, model):
    model.answers = ['{"total": 3}']
    answer = client.post(
        "/v1/tasks/extract/upload",
        data={"schema": json.dumps({"type": "object", "properties": {"total": {}}})},
        files={"images": ("a.png", ASTRONAUT, "image/png")},
    )

    result = answer.json()["result"]
    assert (result["fields"], result["not_found"]) == ({"total": 3}, [])


def test_a_task_uses_its_own_sampling_unless_the_request_overrides_it(client, model):
    client.post("/v1/tasks/vqa", json=ASKED)
    client.post("/v1/tasks/vqa", json={**ASKED, "temperature": 1, "top_p": 0.5})

    assert [request.sampling for request in model.requests] == [
        Sampling(0.0, 0.9, 1024),
        Sampling(1, 0.5, 1024),
    ]


def test_an_invalid_answer_is_asked_for_once_more_with_its_error(client, model):
    model.answers = ['{"answer": "A cat", "confidence": "very"}', ANSWER]
    body = client.post("/v1/tasks/vqa", json=ASKED).json()

    assert (body["valid"], body["repaired"], body["calls"]) == (True, True, 2)
    assert (body["prompt_token_count"], body["generation_token_count"]) == (200, 20)
    assert len(body["images"]) == 1
    user, assistant, correction = model.requests[1].turns
    assert len(user.images) == 1
    assert assistant.text == '{"answer": "A cat", "confidence": "very"}'
    assert "confidence: write 'high', 'medium' or 'low'" in correction.text


def test_an_answer_that_stays_invalid_is_returned(client, model):
    model.answers = ["It is a cat.", "Really, a cat."]
    answer = client.post("/v1/tasks/vqa", json=ASKED)
    body = answer.json()

    assert answer.status_code == 200
    assert (body["valid"], body["result"]) == (False, None)
    assert body["generation"] == "It is a cat.\n\nReally, a cat."
    assert "no JSON object" in body["faults"][0]
    assert body["calls"] == len(model.requests) == 2


def test_a_failed_repair_call_does_not_lose_the_first_answer(client, model):
    model.answers = ["It is a cat.", ModelThrottledError("later")]
    answer = client.post("/v1/tasks/vqa", json=ASKED)

    assert answer.status_code == 200
    assert answer.json()["generation"] == "It is a cat."
    assert "model_throttled" in answer.json()["faults"][0]


def test_a_truncated_answer_is_not_asked_for_again(client, model):
    model.answers = [completion('{"answer": "A c', StopReason.LENGTH)]
    body = client.post("/v1/tasks/vqa", json=ASKED).json()

    assert (body["valid"], body["calls"], body["stop_reason"]) == (False, 1, "length")
    assert "ended by length" in body["faults"][0]


def test_complete_parts_before_a_cut_are_returned_with_a_warning(client, model):
    cut = '{"lines": [{"text": "one", "box": null}, {"text": "two", "bo'
    model.answers = [completion(cut, StopReason.LENGTH)]
    body = client.post("/v1/tasks/ocr", json={"layout": "lines", "images": [b64(ASTRONAUT)]}).json()

    assert body["result"]["text"] == "one"
    codes = {warning["code"] for warning in body["warnings"]}
    assert codes == {"answer_cut_off", "boxes_untrained"}


def test_an_upstream_error_fails_the_request(client, model):
    model.answers = [ModelThrottledError("later")]

    assert client.post("/v1/tasks/vqa", json=ASKED).status_code == 429


def test_a_failed_page_is_reported_beside_those_that_were_read(client, model):
    model.answering = lambda request: (
        ModelThrottledError("later")
        if request.turns[0].images[0].width == 512
        else '{"text": "HELLO"}'
    )
    images = [b64(ROCKET), b64(ASTRONAUT), b64(ROCKET)]
    body = client.post("/v1/tasks/ocr", json={"images": images}).json()

    assert body["valid"] is True
    assert [page["text"] for page in body["result"]["pages"]] == ["HELLO", None, "HELLO"]
    assert "model_throttled" in body["result"]["pages"][1]["error"]
    assert body["calls"] == 2


def test_candidates_are_scored_in_one_call_each_and_ranked(client, model):
    model.answering = lambda request: json.dumps(
        {"reason": "r", "score": 0.9 if request.turns[0].images[0].width == 512 else 0.1}
    )
    body = client.post(
        "/v1/tasks/retrieval", json={"query": "space", "images": [b64(ROCKET), b64(ASTRONAUT)]}
    ).json()

    assert [ranked["index"] for ranked in body["result"]["ranking"]] == [1, 0]
    assert (body["calls"], body["total_token_count"]) == (2, 220)


def test_pictures_are_described_one_by_one_and_then_compared(client, model):
    model.answering = lambda request: (
        '{"description": "d", "text": ""}'
        if request.turns[0].images
        else '{"differences": ["the suit"], "similarities": []}'
    )
    body = client.post("/v1/tasks/compare", json={"images": [b64(ROCKET), b64(ASTRONAUT)]}).json()

    assert body["result"]["differences"] == ["the suit"]
    assert [len(request.turns[0].images) for request in model.requests] == [1, 1, 0]
    assert [image["width"] for image in body["images"]] == [640, 512]


def test_one_idempotency_key_shares_every_call_of_a_task(client, model):
    model.answers = ["It is a cat.", ANSWER]
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/v1/tasks/vqa", json=ASKED, headers=headers).json()
    second = client.post("/v1/tasks/vqa", json=ASKED, headers=headers).json()

    assert first["result"] == second["result"] == RESULT
    assert len(model.requests) == first["calls"] == 2


def test_pictures_are_compared_side_by_side_in_one_call_on_request(client, model):
    model.answers = ['{"differences": ["the suit"], "similarities": ["space"]}']
    body = client.post(
        "/v1/tasks/compare",
        json={"images": [b64(ROCKET), b64(ASTRONAUT)], "image_strategy": "contact_sheet"},
    ).json()

    assert (body["result"]["differences"], body["result"]["images"]) == (["the suit"], [])
    (request,) = model.requests
    assert "contact sheet of 2" in request.turns[0].text
    assert len(request.turns[0].images) == body["calls"] == 1
    assert [image["width"] for image in body["images"]] == [640, 512]
    assert "contact_sheet" in [warning["code"] for warning in body["warnings"]]


REFUSED = {
    "no question": ("vqa", {"question": None}, 422, "invalid_parameter", "question"),
    "an empty question": ("vqa", {"question": ""}, 422, "invalid_parameter", "question"),
    "no image": ("vqa", {"images": []}, 422, "images_missing", "images"),
    "two images": ("vqa", {"images": [b64(ROCKET)] * 2}, 422, "too_many_images", "images.1"),
    "one image to compare": ("compare", {"question": ...}, 422, "images_missing", "images"),
    "an unknown field": ("vqa", {"colour": "red"}, 422, "unknown_field", "colour"),
    "an unknown style": (
        "caption",
        {"question": ..., "style": "rude"},
        422,
        "invalid_parameter",
        "style",
    ),
    "both query and texts": (
        "retrieval",
        {"question": ..., "query": "a", "texts": ["b"]},
        422,
        "invalid_parameter",
        "query",
    ),
    "a schema that fetches": (
        "extract",
        {"question": ..., "schema": {"$ref": "https://example.org"}},
        422,
        "invalid_parameter",
        "schema",
    ),
    "a broken range of pages": (
        "document-qa",
        {"pages": "1;2"},
        422,
        "invalid_parameter",
        "pages",
    ),
}


@pytest.mark.parametrize(
    ("task", "change", "status", "code", "field"), REFUSED.values(), ids=REFUSED
)
def test_an_invalid_task_request_is_refused_before_any_call(
    client, model, task, change, status, code, field
):
    body = {name: value for name, value in {**ASKED, **change}.items() if value is not ...}
    answer = client.post(f"/v1/tasks/{task}", json=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert field is None or answer.json()["errors"][0]["field"] == field
    assert model.requests == []


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_an_upload_form_prefilled_by_swagger_ui_uses_the_tasks_defaults(client, model, task):
    fields = DOCUMENT["components"]["schemas"][f"{camel(task.name)}Form"]["properties"]
    filled = {
        name: field["default"] if "default" in field else field["examples"][0]
        for name, field in fields.items()
        if name != "images"
    }
    data = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in filled.items()}

    answer = client.post(
        f"/v1/tasks/{task.name}/upload",
        data=data,
        files=[("images", ("a.jpg", ROCKET, "image/jpeg"))] * task.images.least,
    )
    assert answer.status_code == 200
    asked = [request.sampling for request in model.requests if len(request.turns) == 1]
    assert set(asked) == {task.sampling}
    assert not any("Answer in" in request.turns[-1].text for request in model.requests)


def test_every_task_has_its_own_path_parameters_and_result_in_openapi():
    schemas = DOCUMENT["components"]["schemas"]

    def described(reference: str) -> Any:
        return schemas[reference.rpartition("/")[2]]

    for task in TASKS:
        operation = DOCUMENT["paths"][f"/v1/tasks/{task.name}"]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        taken = described(content["schema"]["$ref"])["properties"]
        given = operation["responses"]["200"]["content"]["application/json"]["schema"]
        (result, _) = described(given["$ref"])["properties"]["result"]["anyOf"]
        own = task.parameters.model_json_schema()["properties"]

        assert set(own) | {"images", "language", "max_gen_len"} <= set(taken)
        assert set(described(result["$ref"])["properties"]) == set(task.result.model_fields)
        assert content["examples"][task.name]["value"]["images"]
        assert f"/v1/tasks/{task.name}/upload" in DOCUMENT["paths"]


def test_the_list_of_tasks_describes_the_parameters_of_each(client):
    tasks = client.get("/v1/tasks").json()["tasks"]

    assert [task["name"] for task in tasks] == [task.name for task in TASKS]
    for task in tasks:
        assert task["description"]
        assert set(task["example"]["request"]) - {"images"} <= set(task["parameters"]["properties"])
        # Members that an answer may omit may be missing in the example.
        given, known = set(task["example"]["result"]), task["result"]
        assert set(known["required"]) <= given <= set(known["properties"])


def test_raw_texts_are_in_the_order_of_the_calls(client, model):
    model.answering = lambda request: (
        '{"text": "astronaut"}' if request.turns[0].images[0].width == 512 else "not JSON"
    )
    images = [b64(ROCKET), b64(ASTRONAUT)]
    body = client.post("/v1/tasks/ocr", json={"images": images}).json()

    assert body["generation"].split("\n\n") == ["not JSON", "not JSON", '{"text": "astronaut"}']
    assert (body["valid"], body["repaired"], body["calls"]) == (True, True, 3)


@pytest.mark.parametrize(
    ("second", "told"), [([ANSWER], "us-west-2"), ([ModelThrottledError("busy"), ANSWER], None)]
)
def test_a_task_names_the_target_of_all_its_calls(model, second, told):
    model.answers = ["not JSON", *second]
    settings = Settings(_env_file=None, fallbacks=[{"region": "us-east-1"}])
    with Rig(model, settings=settings).client() as client:
        body = client.post("/v1/tasks/vqa", json=ASKED).json()

    assert body["calls"] == 2
    assert (body["target"] and body["target"]["region"]) == told
