"""The prompts of tasks, and the capabilities that tasks state."""

import json

import pytest

from app.services.answers.schemas.skeleton import skeleton
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.model.scripted import ScriptedVisionModel

IMAGES = [b64(ASTRONAUT)]


@pytest.fixture
def model() -> ScriptedVisionModel:
    return ScriptedVisionModel()


def ask(client, task, **body):
    answer = client.post(f"/v1/tasks/{task}", json={"images": IMAGES, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_model_continues_a_prefilled_answer(client, model):
    model.answers = ['A rocket", "alt": "Rocket", "tags": ["rocket"]}']

    body = ask(client, "caption")

    assert model.requests[0].begun == '{"caption": "'
    assert body["result"]["caption"] == "A rocket"
    assert body["generation"] == '{"caption": "A rocket", "alt": "Rocket", "tags": ["rocket"]}'
    assert body["calls"] == 1


def test_a_refusal_after_a_prefilled_beginning_is_recognised(client, model):
    model.answers = ["I'm sorry, but I can't help with that."]

    body = ask(client, "caption")

    assert (body["refused"], body["calls"]) == (True, 1)


def test_a_question_about_descriptions_does_not_claim_to_show_a_picture(client, model):
    described = '{"description": "A rocket.", "text": ""}'
    model.answers = [described, described, '{"differences": [], "similarities": []}']

    ask(client, "compare", images=[b64(ROCKET), b64(ASTRONAUT)])

    *_, follow_up = (request.turns[0].text for request in model.requests)
    assert "the picture shows" not in follow_up
    assert "descriptions of 2 pictures" in follow_up


@pytest.mark.parametrize(
    ("task", "body", "answer", "said"),
    [
        ("caption", {}, '{"caption": "x", "alt": "x", "tags": []}', "Write in German."),
        ("ocr", {}, '{"text": "x"}', None),
        (
            "document-qa",
            {"question": "Who?"},
            '{"found": false, "answer": null, "quote": null, "relevance": 0}',
            "copy the quote as the page has it",
        ),
    ],
)
def test_a_language_is_requested_where_the_model_writes_its_own_words(
    client, model, task, body, answer, said
):
    model.answers = [answer]

    warnings = ask(client, task, language="de", **body)["warnings"]

    text = model.requests[0].turns[0].text
    assert "Answer in German" not in text
    assert said in text if said else "German" not in text
    assert "language_unsupported_with_images" in [w["code"] for w in warnings]


def test_a_repair_says_plainly_what_to_change_and_raises_the_temperature(client, model):
    boxes = '{"objects": [{"label": "cat", "box": %s}]}'
    model.answers = [boxes % "[120, 80, 460, 300]", boxes % "[0.1, 0.1, 0.9, 0.5]"]

    body = ask(client, "grounding", phrases=["cat"])

    first, second = model.requests
    assert "divide left and right by its width" in second.turns[-1].text
    assert "Input should be" not in second.turns[-1].text
    assert first.sampling.temperature == 0.2
    assert second.sampling.temperature == 0.4
    assert body["repaired"]


@pytest.mark.parametrize(
    ("task", "answer", "parameters", "warned"),
    [
        ("grounding", {"objects": [{"label": "cat", "box": [0, 0, 1, 0.5]}]}, {}, {"boxes"}),
        (
            "ocr",
            {"markdown": "| a | b |\n|---|---|\n| 1 | 2 |"},
            {"output": "markdown"},
            {"tables"},
        ),
        ("ocr", {"markdown": "# Title"}, {"output": "markdown"}, set()),
        (
            "diagram",
            {"kind": "tree", "nodes": [], "edges": [], "explanation": "-"},
            {},
            {"diagrams"},
        ),
        (
            "inspection",
            {"findings": [], "verdict": "no_defect_seen", "action": "none"},
            {"object": "door"},
            {"defects"},
        ),
        ("retrieval", {"reason": "a cat", "score": 1}, {"query": "a cat"}, {"scores"}),
        (
            "vqa",
            {"answer": "a cat", "confidence": "high", "evidence": None},
            {"question": "?"},
            set(),
        ),
    ],
)
def test_a_result_beyond_the_measured_capabilities_has_a_warning(
    client, model, task, answer, parameters, warned
):
    model.answers = [json.dumps(answer)]
    codes = {w["code"] for w in ask(client, task, **parameters)["warnings"]}

    assert {code for code in codes if code.endswith("_untrained")} == {
        f"{name}_untrained" for name in warned
    }


@pytest.mark.parametrize(
    ("properties", "warned"),
    [
        ({"total": {"type": "number"}}, False),
        (
            {
                "lines": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"total": {"type": "number"}}},
                }
            },
            True,
        ),
    ],
)
def test_line_items_of_a_document_are_reported_as_untrained(client, model, properties, warned):
    model.answers = ['{"total": 3, "lines": [{"total": 3}]}']

    body = ask(client, "extract", schema={"type": "object", "properties": properties})

    assert ("line_items_untrained" in [w["code"] for w in body["warnings"]]) is warned


def test_a_value_that_the_picture_does_not_show_is_null(client, model):
    model.answers = [' null, "confidence": "low", "evidence": null}']

    body = ask(client, "vqa", question="Who took it?")

    assert (body["result"]["answer"], body["result"]["found"]) == (None, False)


def test_every_task_states_the_basis_of_its_capability(client):
    for task in client.get("/v1/tasks").json()["tasks"]:
        assert task["capability"]["basis"]
        assert task["capability"]["languages"] == ["en"]


def test_a_label_is_chosen(client, model):
    model.answers = ['photo"}']

    body = ask(client, "classify", labels=["receipt", "photo"])

    assert model.requests[0].turns[0].text.endswith('{"label": "receipt" | "photo" | "other"}')
    assert body["result"]["labels"] == ["photo"]
    assert body["result"]["ranking"][0] == {"label": "photo", "probability": None}


def test_duplicate_labels_are_refused_before_any_call(client, model):
    answer = client.post(
        "/v1/tasks/classify", json={"images": IMAGES, "labels": ["photo", "Photo"]}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert model.requests == []


def test_a_prompt_shows_a_skeleton_instead_of_a_schema_where_it_suffices(client, model):
    model.answers = ['{"total": 3}']
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}

    ask(client, "extract", schema=schema)

    shown = skeleton({"properties": {"total": {"type": ["number", "null"]}}})
    assert shown is not None
    assert model.requests[0].turns[0].text.endswith(shown)
