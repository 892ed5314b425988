"""Documents over HTTP, in front of a model that answers as a test wrote."""

import json

import pytest

from app.domain.errors import ModelThrottledError
from app.domain.generation import ModelRequest
from app.services.generation.image_sources import ImageSources
from tests.support.app import Rig
from tests.support.documents import FOUR_PAGES, LOCKED, blank_pdf, tiff
from tests.support.drawn import lettered
from tests.support.fakes import FakeImageSource, plenty
from tests.support.pictures import ROCKET, b64
from tests.support.scripted import ScriptedVisionModel


@pytest.fixture
def model() -> ScriptedVisionModel:
    return ScriptedVisionModel(answering=_size)


def _size(request: ModelRequest) -> str:
    image = request.turns[0].images[0]
    return json.dumps({"text": f"{image.width}x{image.height}"})


def test_every_page_of_a_pdf_is_shown_once_and_in_order(client, model):
    body = client.post("/v1/tasks/ocr", json={"images": [b64(FOUR_PAGES)]}).json()

    assert [page["page"] for page in body["result"]["pages"]] == [1, 2, 3, 4]
    assert body["calls"] == 4
    shown = [request.turns[0].images[0] for request in model.requests]
    assert len({image.sha256 for image in shown}) == 4
    assert all(1100 < max(image.width, image.height) <= 1120 for image in shown)


def test_a_pdf_is_taken_as_a_file(client, model):
    answer = client.post(
        "/v1/tasks/ocr/upload",
        data={"pages": "2,4"},
        files={"images": ("letter.pdf", FOUR_PAGES, "application/pdf")},
    )

    assert [page["page"] for page in answer.json()["result"]["pages"]] == [2, 4]


def test_pages_count_on_from_one_document_to_the_next(client, model):
    document = tiff([lettered("one"), lettered("two")])
    images = [b64(document), b64(ROCKET), b64(document)]
    body = client.post("/v1/tasks/ocr", json={"images": images}).json()

    assert [page["page"] for page in body["result"]["pages"]] == [1, 2, 3, 4, 5]
    assert body["result"]["pages"][2]["text"] == "640x427"


def test_high_detail_shows_a_page_in_strips_and_tells_it_as_one(client, model):
    body = client.post(
        "/v1/tasks/ocr", json={"images": [b64(FOUR_PAGES)], "pages": "1", "detail": "high"}
    ).json()

    assert body["calls"] == len(model.requests) == 4
    assert [page["page"] for page in body["result"]["pages"]] == [1]
    shown = [request.turns[0].images[0] for request in model.requests]
    assert {image.width for image in shown} == {1119}
    assert max(image.height for image in shown) <= 560


def test_a_page_that_fails_upstream_leaves_the_others(client, model):
    first: list[str] = []

    def answering(request: ModelRequest) -> str | ModelThrottledError:
        image = request.turns[0].images[0]
        first.append(image.sha256)
        if image.sha256 == first[0]:
            return ModelThrottledError("later")
        return json.dumps({"found": True, "answer": "x", "relevance": 0.5})

    model.answering = answering
    body = client.post(
        "/v1/tasks/document-qa", json={"images": [b64(FOUR_PAGES)], "question": "?"}
    ).json()

    errors = [page["error"] for page in body["result"]["pages"]]
    assert sum(error is not None for error in errors) == 1
    assert body["result"]["answer"] == "x"
    assert body["calls"] == 3


def test_a_document_that_is_only_named_is_fetched_once_and_holds_its_room_while_asked_about():
    url = "https://files.example.com/letter.pdf"
    known = FakeImageSource({url: FOUR_PAGES})
    room = plenty()
    held: list[int] = []

    def answering(request: ModelRequest) -> str:
        held.append(room.in_use)
        return '{"text": "HELLO"}'

    sources = ImageSources(2**20, urls=known, objects=known, room=room)
    with Rig(ScriptedVisionModel(answering=answering), sources=sources).client() as client:
        body = client.post("/v1/tasks/ocr", json={"images": [{"url": url}], "pages": "1-2"}).json()

    assert [page["text"] for page in body["result"]["pages"]] == ["HELLO", "HELLO"]
    assert held == [len(FOUR_PAGES)] * 2
    assert room.in_use == 0


REFUSED = {
    "a locked document": (LOCKED, {}, 422, "document_locked"),
    "a damaged one": (FOUR_PAGES[:3000], {}, 422, "image_damaged"),
    "one of too many pages": (blank_pdf(*[(99, 99)] * 51), {}, 422, "too_many_pages"),
    "pages that are not there": (FOUR_PAGES, {"pages": "5"}, 422, "invalid_parameter"),
    "a task that takes none": (FOUR_PAGES, {"task": "caption"}, 415, "unsupported_image_type"),
}


@pytest.mark.parametrize(("data", "change", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_before_anything_is_spent_a_document_is_refused(client, model, data, change, status, code):
    parameters = {name: value for name, value in change.items() if name != "task"}
    path = f"/v1/tasks/{change.get('task', 'ocr')}"
    answer = client.post(path, json={"images": [b64(data)], **parameters})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "images.0" in answer.json()["detail"] or code == "invalid_parameter"
    assert model.requests == []
