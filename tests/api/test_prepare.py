"""POST /v1/images/prepare."""

import hashlib
import json

import pytest

from app.services.generation.image_sources import ImageSources
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeImageSource, plenty
from tests.support.files.pictures import ASTRONAUT, DATA, ROCKET, b64
from tests.support.service.application import Rig, small

PATH = "/v1/images/prepare"
SIDEWAYS = (DATA / "exif-Landscape_6.jpg").read_bytes()


def test_the_report_describes_the_input_and_the_prepared_picture(client, model):
    answer = client.post(PATH, json={"image": {"base64": b64(SIDEWAYS), "media_type": "image/png"}})

    assert answer.status_code == 200
    report = answer.json()
    assert report["received"] == {
        "declared_type": "image/png",
        "media_type": "image/jpeg",
        "width": report["width"],
        "height": report["height"],
        "bytes": len(SIDEWAYS),
        "orientation": 6,
        "frames": 1,
    }
    prepared = report["prepared"]
    assert (prepared["width"] > prepared["height"]) is (report["width"] < report["height"])
    assert max(prepared["width"], prepared["height"]) <= 1120
    assert report["canvas"]["tiles"] == report["canvas"]["columns"] * report["canvas"]["rows"]
    assert 0 < report["scale"] <= 1
    assert report["treatment"] == "encoded"
    assert "declared_type_corrected" in [w["code"] for w in report["warnings"]]
    assert model.requests == []


def test_the_prepared_picture_itself_is_returned_on_request(client, model):
    answer = client.post(PATH, json={"image": b64(ROCKET)}, headers={"accept": "image/*"})

    report = json.loads(answer.headers["x-image-report"])
    assert answer.headers["content-type"] == report["prepared"]["media_type"]
    assert len(answer.content) == report["prepared"]["bytes"]
    assert hashlib.sha256(answer.content).hexdigest() == report["prepared"]["sha256"]
    assert model.requests == []


def test_a_malformed_declared_type_is_omitted_from_the_report(client):
    # A lone surrogate, which the answer's JSON could not encode.
    image = json.dumps({"base64": b64(ROCKET), "media_type": "\ud800"})
    as_json = {"content-type": "application/json"}

    dry = client.post(PATH, content=f'{{"image": {image}}}', headers=as_json)
    assert (dry.status_code, dry.json()["received"]["declared_type"]) == (200, None)
    assert dry.json()["warnings"] == []
    wet = client.post("/v1/generate", content=f'{{"images": [{image}]}}', headers=as_json)
    assert wet.json()["images"] == [dry.json()]
    streamed = client.post(
        "/v1/generate", content=f'{{"images": [{image}], "stream": true}}', headers=as_json
    )
    assert "event: done" in streamed.text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, image/*", "application/json"),
        ("image/*;q=0.9, application/json;q=0.1", "image/png"),
        ("text/html, IMAGE/PNG", "image/png"),
        ("", "application/json"),
    ],
)
def test_the_first_media_type_of_accept_is_served(client, accept, media_type):
    answer = client.post(PATH, json={"image": b64(ASTRONAUT)}, headers={"accept": accept})

    assert answer.headers["content-type"] == media_type


def test_a_file_is_reported_like_the_same_picture_in_json(client):
    json_answer = client.post(
        PATH, json={"image": {"base64": b64(ASTRONAUT), "media_type": "image/png"}}
    )
    upload = client.post(PATH, files={"image": ("a.png", ASTRONAUT, "image/png")})

    assert upload.status_code == json_answer.status_code == 200
    assert upload.json() == json_answer.json()


def test_a_picture_given_by_url_is_fetched():
    known = FakeImageSource({"https://x.example/a": ASTRONAUT})
    with Rig(
        sources=ImageSources(2**20, urls=known, objects=known, room=plenty())
    ).client() as client:
        answer = client.post(PATH, json={"image": {"url": "https://x.example/a"}})

    assert answer.json()["received"]["bytes"] == len(ASTRONAUT)


def test_an_answer_about_a_picture_carries_the_same_report(client):
    dry = client.post(PATH, json={"image": b64(ROCKET)}).json()
    wet = client.post("/v1/generate", json={"images": [b64(ROCKET)]}).json()["images"]

    assert wet == [dry]


def test_a_shared_answer_keeps_the_report_although_it_drops_the_bytes(client):
    answer = client.post(
        "/v1/generate", json={"images": [b64(ROCKET)]}, headers={"idempotency-key": "1"}
    )

    assert answer.json()["images"][0]["prepared"]["bytes"] > 0


@pytest.mark.parametrize(
    ("body", "status", "code", "named"),
    [
        ({}, 422, "invalid_parameter", "image"),
        ([], 422, "invalid_parameter", "body"),
        ({"image": b64(ASTRONAUT), "prompt": "x"}, 422, "unknown_field", "prompt"),
        ({"image": b64(b"hello there")}, 422, "not_an_image", "image"),
        ({"image": "@"}, 422, "invalid_base64", "image"),
        ({"image": {"url": "https://x.example/"}}, 422, "image_source_disabled", "image"),
    ],
)
def test_a_body_that_is_not_a_picture_is_refused_by_name(client, body, status, code, named):
    assert named in problem(client.post(PATH, json=body), status, code)["detail"]


@pytest.mark.parametrize("content", [b'{"image": ', b"\xff\xfe", b"[" * 100_000])
def test_invalid_json_is_refused(client, content):
    answer = client.post(PATH, content=content, headers={"content-type": "application/json"})

    problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("content_type", ["image/png", "text/plain", ""])
def test_another_content_type_is_refused(client, content_type):
    answer = client.post(PATH, content=ASTRONAUT, headers={"content-type": content_type})

    detail = problem(answer, 415, "unsupported_content_type")["detail"]
    assert "multipart/form-data" in detail


def test_a_malformed_form_or_one_with_extra_fields_or_files_is_refused(client):
    another = client.post(PATH, files={"picture": ("a.png", ASTRONAUT)})
    with_text = client.post(PATH, data={"image": "text"}, files={"x": ("", b"")})
    broken, broken_off = (
        client.post(PATH, content=body, headers={"content-type": "multipart/form-data; boundary=x"})
        for body in (
            b"nonsense",
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            + ASTRONAUT,
        )
    )

    assert {e["field"] for e in problem(another, 422, "invalid_parameter")["errors"]} == {
        "image",
        "picture",
    }
    problem(with_text, 422, "invalid_parameter")
    problem(broken, 400, "malformed_body")
    problem(broken_off, 400, "malformed_body")


def test_a_body_over_the_limit_with_no_declared_length_is_refused_while_it_is_read():
    def chunks():
        for _ in range(100):
            yield b" " * 100

    with small(max_body_bytes=1000).client() as client:
        answer = client.post(PATH, content=chunks(), headers={"content-type": "application/json"})

    problem(answer, 413, "body_too_large")
