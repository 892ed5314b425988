"""Documents over HTTP, with a model that returns scripted answers."""

import json

import pytest
from PIL import Image, ImageDraw

from app.domain.errors import ModelThrottledError
from app.domain.generation import ModelRequest
from app.services.generation.image_sources import ImageSources
from tests.support.fakes.ports import FakeImageSource, plenty
from tests.support.files.documents import FOUR_PAGES, LOCKED, blank_pdf, tiff, unembedded_pdf
from tests.support.files.drawn_words import encoded, lettered
from tests.support.files.pictures import DATA, ROCKET, b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.service.application import Rig


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


def test_a_pdf_is_accepted_as_a_file(client, model):
    answer = client.post(
        "/v1/tasks/ocr/upload",
        data={"pages": "2,4"},
        files={"images": ("letter.pdf", FOUR_PAGES, "application/pdf")},
    )

    assert [page["page"] for page in answer.json()["result"]["pages"]] == [2, 4]


def test_page_numbers_continue_from_one_document_to_the_next(client, model):
    document = tiff([lettered("one"), lettered("two")])
    images = [b64(document), b64(ROCKET), b64(document)]
    body = client.post("/v1/tasks/ocr", json={"images": images}).json()

    assert [page["page"] for page in body["result"]["pages"]] == [1, 2, 3, 4, 5]
    assert body["result"]["pages"][2]["text"] == "640x427"


def test_high_detail_shows_a_page_in_tiles_and_reports_one_page(client, model):
    body = client.post(
        "/v1/tasks/ocr", json={"images": [b64(FOUR_PAGES)], "pages": "1", "detail": "high"}
    ).json()

    assert body["calls"] == len(model.requests) == 3
    assert [page["page"] for page in body["result"]["pages"]] == [1]
    shown = [request.turns[0].images[0] for request in model.requests]
    assert {image.width for image in shown} == {1120}
    assert max(image.height for image in shown) <= 560


def test_high_detail_cuts_a_wide_picture_into_tiles_without_shrinking_it(client, model):
    image = Image.new("RGB", (6000, 200), "white")
    draw = ImageDraw.Draw(image)
    for left in range(20, 5900, 130):
        draw.rectangle((left, 80, left + 100, 110), fill="black")
    body = client.post(
        "/v1/tasks/ocr", json={"images": [b64(encoded(image, "PNG"))], "detail": "high"}
    ).json()

    assert sum(request.turns[0].images[0].width for request in model.requests) == 6000
    assert {shown["scale"] for shown in body["images"]} == {1.0}
    assert body["warnings"] == []


def test_high_detail_reports_how_far_a_large_picture_was_shrunk(client, model):
    image = lettered("one").resize((3000, 4500))
    body = client.post(
        "/v1/tasks/ocr", json={"images": [b64(encoded(image, "PNG"))], "detail": "high"}
    ).json()

    assert {round(shown["scale"], 2) for shown in body["images"]} == {0.37}
    assert [warning["code"] for warning in body["warnings"]] == ["small_text_illegible"]


def test_a_page_that_fails_leaves_the_others(client, model):
    odd = (DATA / "pdf-page-2-of-3-too-narrow.pdf").read_bytes()
    body = client.post("/v1/tasks/ocr", json={"images": [b64(odd)]}).json()

    errors = [page["error"] for page in body["result"]["pages"]]
    assert errors[0] is errors[2] is None
    assert errors[1].startswith("extreme_aspect_ratio: images.0: page 2: It is 100 x 14000 points")
    assert body["calls"] == len(model.requests) == 2


def test_a_page_that_shows_none_of_its_text_is_refused_without_a_call(client, model):
    data = unembedded_pdf("\U00018b00\U00018b01", "Khitan")
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(data)]})

    assert (answer.status_code, answer.json()["code"]) == (422, "page_not_shown")
    assert "Khitan" in answer.json()["detail"]
    assert model.requests == []


def test_the_text_layer_is_returned_even_if_the_page_shows_none_of_it(client, model):
    data = unembedded_pdf("\U00018b00\U00018b01", "Khitan")
    request = {"images": [b64(data)], "text_layer": "prefer"}
    body = client.post("/v1/tasks/ocr", json=request).json()

    assert body["result"]["pages"][0]["text"] == "\U00018b00\U00018b01"
    assert [warning["code"] for warning in body["warnings"]] == ["font_missing"]


def test_text_that_is_not_shown_is_reported_with_its_page_and_font(client, model):
    data = unembedded_pdf("\U00018b00\U00018b01", "Khitan", latin="Total")
    body = client.post("/v1/tasks/ocr", json={"images": [b64(data)]}).json()

    (warning,) = body["warnings"]
    assert warning["code"] == "font_missing"
    assert warning["message"].startswith("images.0: page 1: 2 characters in the font Khitan")


def test_a_thumbnail_is_not_read_as_a_page(client, model):
    data = (DATA / "tiff-with-thumbnail.tif").read_bytes()
    body = client.post("/v1/tasks/ocr", json={"images": [b64(data)]}).json()

    assert body["calls"] == 1
    assert body["result"]["pages"][0]["text"] == "600x800"


def test_a_first_page_that_cannot_be_used_leaves_the_others(client, model):
    data = tiff([Image.new("F", (8, 8)), lettered("two")])
    body = client.post("/v1/tasks/ocr", json={"images": [b64(data)]}).json()

    first, second = body["result"]["pages"]
    assert first["error"].startswith("unsupported_image_type: images.0: page 1: ")
    assert second["error"] is None


def test_the_limit_of_pages_holds_over_all_documents(client, model):
    data = blank_pdf(*[(99, 99)] * 26)
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(data), b64(data)]})

    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_pages")
    assert "and 26 of other files; at most 50 of all files together" in answer.json()["detail"]
    assert model.requests == []


def test_plain_pictures_count_as_pages(client, model):
    images = [b64(blank_pdf(*[(99, 99)] * 50)), b64(ROCKET)]
    answer = client.post("/v1/tasks/ocr", json={"images": images})

    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_pages")
    assert answer.json()["errors"][0]["field"] == "images.1"
    assert model.requests == []


def test_a_request_for_too_many_pages_is_pointed_to_jobs(client):
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(blank_pdf(*[(99, 99)] * 51))]})

    assert "at most 50" in answer.json()["detail"]
    assert "Prefer: respond-async" in answer.json()["detail"]
    assert "which may have 1000." in answer.json()["detail"]


def test_pages_cannot_be_chosen_from_a_picture(client, model):
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(ROCKET)], "pages": "7"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert "images.0 is a picture and has no pages" in answer.json()["detail"]
    assert model.requests == []


def test_pages_may_be_null_for_all(client, model):
    request = {"images": [b64(blank_pdf((99, 99), (99, 99)))], "pages": None}

    assert client.post("/v1/tasks/ocr", json=request).json()["calls"] == 2


@pytest.mark.parametrize("pages", ["-3", "abc", "1\N{EN DASH}3", "", "1,,2"])
def test_an_invalid_page_range_is_refused_with_a_plain_message(client, model, pages):
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(FOUR_PAGES)], "pages": pages})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert "numbers and ranges such as 1-3,5 or 2-" in answer.json()["detail"]


def test_a_pdf_sent_to_a_picture_endpoint_is_pointed_to_the_tasks_that_take_it(client, model):
    for path, body in {
        "/v1/generate": {"images": [b64(b"\n\n" + FOUR_PAGES)]},
        "/v1/tasks/caption": {"images": [b64(FOUR_PAGES)]},
    }.items():
        answer = client.post(path, json=body)

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_image_type")
        assert "/v1/tasks/ocr" in answer.json()["detail"]


def test_an_unsupported_document_is_refused_with_the_supported_kinds(client, model):
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(b"PK\3\4" + b"x" * 99)]})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_image_type")
    assert "A PDF is accepted here, too." in answer.json()["detail"]


def test_each_page_names_its_file_and_its_number_in_it(client, model):
    images = [b64(FOUR_PAGES), b64(FOUR_PAGES)]
    body = client.post("/v1/tasks/ocr", json={"images": images, "pages": "2"}).json()

    named = [(p["page"], p["file"], p["number"], p["width"]) for p in body["result"]["pages"]]
    assert named == [(2, "images.0", 2, 595), (6, "images.1", 2, 595)]
    assert [(t["file"], t["number"]) for t in body["raw_texts"]] == [
        ("images.0", 2),
        ("images.1", 2),
    ]
    assert "\n\n".join(t["text"] for t in body["raw_texts"]) == body["generation"]


def test_the_text_layer_is_returned_where_it_is_preferred(client, model):
    request = {"images": [b64(FOUR_PAGES)], "pages": "1", "text_layer": "prefer"}
    (page,) = client.post("/v1/tasks/ocr", json=request).json()["result"]["pages"]

    assert page["text"].startswith("Hello, here is some text without a meaning.")
    assert page["text"] == page["text_layer"]
    assert page["model_text"] == "791x1120"


def test_blocks_of_a_page_have_their_boxes(client, model):
    blocks = [{"kind": "table", "text": "| a |\n|---|\n| 1 |", "box": [0, 0, 1, 0.5]}]
    model.answering = lambda _: json.dumps({"blocks": blocks})
    body = client.post(
        "/v1/tasks/ocr", json={"images": [b64(FOUR_PAGES)], "pages": "3", "output": "blocks"}
    ).json()

    (page,) = body["result"]["pages"]
    assert page["blocks"][0]["box"]["pixels"] == {"left": 0, "top": 0, "right": 595, "bottom": 421}
    assert page["tables"][0]["rows"] == [["a"], ["1"]]
    assert body["result"]["tables"][0]["number"] == 3


def test_fields_are_read_from_every_page_of_a_pdf(client, model):
    totals = iter([1, 1, 2, None])
    model.answering = lambda _: json.dumps({"total": next(totals)})
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    body = client.post(
        "/v1/tasks/extract", json={"images": [b64(FOUR_PAGES)], "schema": schema}
    ).json()

    assert body["calls"] == 4
    assert body["result"]["fields"] == {"total": 1}
    assert [c["path"] for c in body["result"]["conflicts"]] == ["total"]
    assert [page["number"] for page in body["result"]["pages"]] == [1, 2, 3, 4]


def test_the_progress_of_reading_carries_the_text_of_each_page(client, model):
    request = {"images": [b64(FOUR_PAGES)], "pages": "1-2", "stream": True}
    answer = client.post("/v1/tasks/ocr", json=request)

    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if "data: " in line]
    progress = [data for line in lines if "done" in (data := json.loads(line))]
    assert sorted(event["page"] for event in progress) == [1, 2]
    assert all("x1120" in event["text"] for event in progress)


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


def test_a_document_given_by_url_is_fetched_once_and_stays_counted_in_memory():
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
    "a camera's raw picture": (
        (DATA / "raw.dng").read_bytes(),
        {},
        415,
        "unsupported_image_type",
    ),
    "one without pages": (
        (DATA / "pdf-no-pages.pdf").read_bytes(),
        {},
        422,
        "document_without_pages",
    ),
    "one locked by a certificate": (
        (DATA / "pdf-certificate-encrypted.pdf").read_bytes(),
        {},
        422,
        "document_locked",
    ),
    "one of too many pages": (blank_pdf(*[(99, 99)] * 51), {}, 422, "too_many_pages"),
    "pages that are not there": (FOUR_PAGES, {"pages": "5"}, 422, "invalid_parameter"),
    "a task that takes none": (FOUR_PAGES, {"task": "caption"}, 415, "unsupported_image_type"),
}


@pytest.mark.parametrize(("data", "change", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_an_invalid_document_is_refused_before_any_call(client, model, data, change, status, code):
    parameters = {name: value for name, value in change.items() if name != "task"}
    path = f"/v1/tasks/{change.get('task', 'ocr')}"
    answer = client.post(path, json={"images": [b64(data)], **parameters})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "images.0" in answer.json()["detail"] or code == "invalid_parameter"
    assert model.requests == []
