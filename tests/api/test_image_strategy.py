"""Several images in one request: refused, on one contact sheet, or one call for each."""

import json
from typing import Any

import pytest

from app.domain.errors import ModelThrottledError
from app.domain.generation import Completion, ModelRequest
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.service.application import NO_RETRIES, Rig

THREE = [b64(ASTRONAUT), b64(ROCKET), b64(ASTRONAUT)]


class Flaky(FakeVisionModel):
    """Fails on the calls with the given numbers."""

    def __init__(self, *failing_calls: int) -> None:
        super().__init__()
        self.failing_calls = failing_calls
        self.calls = 0

    async def generate(self, request: ModelRequest) -> Completion:
        number, self.calls = self.calls, self.calls + 1
        if number in self.failing_calls:
            raise ModelThrottledError("busy", retry_after=3)
        return await super().generate(request)


def events(text: str) -> list[tuple[str, Any]]:
    """Return the names and data of server-sent events."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def ask(client: Any, strategy: str, images: list[Any] = THREE, **more: Any) -> Any:
    body = {"prompt": "What is it?", "images": images, "image_strategy": strategy, **more}
    return client.post("/v1/generate", json=body)


def test_several_images_are_refused_by_default_naming_the_strategies(client, model):
    answer = client.post("/v1/generate", json={"prompt": "x", "images": THREE})

    body = problem(answer, 422, "too_many_images")
    assert "contact_sheet" in body["detail"]
    assert [e["field"] for e in body["errors"]] == ["images.1", "images.2"]
    assert model.requests == []


def test_a_contact_sheet_is_one_picture_explained_in_the_prompt(client, model):
    answer = ask(client, "contact_sheet")

    assert answer.status_code == 200
    (request,) = model.requests
    (turn,) = request.turns
    (sheet,) = turn.images
    assert max(sheet.width, sheet.height) <= 1120
    assert "3 separate pictures" in turn.text
    assert turn.text.endswith("What is it?")
    body = answer.json()
    assert [image["bytes"] for image in body["images"]] == [
        len(ASTRONAUT),
        len(ROCKET),
        len(ASTRONAUT),
    ]
    assert "contact_sheet" in [w["code"] for w in body["warnings"]]
    assert body["generations"] == []


def test_a_contact_sheet_without_a_prompt_is_described(client, model):
    assert ask(client, "contact_sheet", prompt="").status_code == 200
    assert model.requests[0].turns[0].text.endswith("Describe this image.")


@pytest.mark.parametrize("strategy", ["contact_sheet", "each"])
def test_a_strategy_does_not_change_the_answer_about_one_image(client, model, strategy):
    answer = ask(client, strategy, [b64(ASTRONAUT)])

    assert answer.json()["generation"] == "[fake 1 image(s)] What is it?"
    assert answer.json()["generations"] == []
    assert [w["code"] for w in answer.json()["warnings"]] == []
    assert len(model.requests) == 1


def test_each_image_is_asked_about_and_the_counts_are_summed(client, model):
    body = ask(client, "each").json()

    assert len(model.requests) == 3
    assert all(len(request.turns[0].images) == 1 for request in model.requests)
    parts = body["generations"]
    assert [part["image"] for part in parts] == ["images.0", "images.1", "images.2"]
    assert all(part["generation"] == "[fake 1 image(s)] What is it?" for part in parts)
    assert all(part["error"] is None for part in parts)
    for count in ("prompt_token_count", "generation_token_count", "total_token_count"):
        assert body[count] == sum(part[count] for part in parts) > 0
    single = ask(client, "each", [b64(ASTRONAUT)]).json()["cost_usd"]["total"]
    assert body["cost_usd"]["total"] == pytest.approx(3 * single)
    assert body["stop_reason"] == "stop"
    assert [image["bytes"] for image in body["images"]] == [
        len(ASTRONAUT),
        len(ROCKET),
        len(ASTRONAUT),
    ]
    assert "Image 2: [fake" in body["generation"]


def test_a_failure_is_reported_beside_the_answers_that_were_paid_for():
    with Rig(Flaky(1), retries=NO_RETRIES).client() as client:
        answer = ask(client, "each")

    assert answer.status_code == 200
    body = answer.json()
    (failed,) = [part for part in body["generations"] if part["error"]]
    answered = [part for part in body["generations"] if not part["error"]]
    assert failed["generation"] is None
    assert failed["error"]["code"] == "model_throttled"
    assert failed["error"]["retryable"] is True
    assert len(answered) == 2
    assert body["total_token_count"] == sum(part["total_token_count"] for part in answered)
    (warning,) = body["warnings"]
    assert warning["code"] == "partial_failure"
    assert failed["image"] in warning["message"]


def test_a_malformed_image_costs_the_others_nothing(client, model):
    body = ask(client, "each", [b64(ASTRONAUT), b64(b"no image"), b64(ROCKET)]).json()

    assert [(part["error"] or {}).get("code") for part in body["generations"]] == [
        None,
        "not_an_image",
        None,
    ]
    assert len(model.requests) == 2


def test_if_every_image_fails_the_first_failure_is_returned():
    with Rig(Flaky(0, 1, 2), retries=NO_RETRIES).client() as client:
        answer = ask(client, "each")

    problem(answer, 429, "model_throttled")
    assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize("strategy", ["contact_sheet", "each"])
def test_more_than_sixteen_images_are_refused_before_any_is_decoded(client, model, strategy):
    answer = ask(client, strategy, ["@"] * 17)

    assert problem(answer, 422, "too_many_images")["errors"][0]["field"] == "images.16"
    assert model.requests == []


def test_an_unknown_strategy_is_refused(client):
    problem(ask(client, "collage"), 422, "invalid_parameter")


def test_the_strategy_each_streams_one_event_with_all_answers(client):
    answer = ask(client, "each", stream=True)

    names = [name for name, _ in events(answer.text)]
    assert names == ["start", "delta", "done"]
    _, done = events(answer.text)[-1]
    assert len(done["generations"]) == 3
    assert done["cost_usd"]["total"] > 0


def test_a_contact_sheet_is_streamed_like_any_picture(client, model):
    answer = ask(client, "contact_sheet", stream=True)

    names = [name for name, _ in events(answer.text)]
    assert names[0] == "start"
    assert names[-1] == "done"
    assert len(model.requests[0].turns[0].images) == 1


def test_an_upload_takes_several_files(client, model):
    answer = client.post(
        "/v1/generate/upload",
        data={"prompt": "?", "image_strategy": "each"},
        files=[("images", ("a.png", ASTRONAUT)), ("images", ("b.jpg", ROCKET))],
    )

    assert len(answer.json()["generations"]) == 2
    assert len(model.requests) == 2


def test_a_raw_prompt_with_one_marker_is_sent_for_each_image(client, model):
    prompt = "<|begin_of_text|><|image|>What?<|eot_id|>"

    assert ask(client, "each", prompt=prompt, raw_prompt=True).status_code == 200
    assert len(model.requests) == 3


@pytest.mark.parametrize("markers", [1, 3])
def test_a_raw_prompt_cannot_be_used_with_a_contact_sheet(client, model, markers):
    prompt = f"<|begin_of_text|>{'<|image|>' * markers}What?<|eot_id|>"
    refused = ask(client, "contact_sheet", prompt=prompt, raw_prompt=True)

    assert "contact_sheet" in problem(refused, 422, "invalid_parameter")["detail"]
    assert model.requests == []
