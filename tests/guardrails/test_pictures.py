"""Pictures are checked as the model sees them: prepared, page by page, on a contact sheet."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image

from app.settings import Settings
from tests.support.clients.guardrail_dialects import SETTINGS
from tests.support.files.drawn_words import words
from tests.support.files.pictures import b64
from tests.support.service.application import Rig

PATIENCE = 60
"""Timeout in seconds, as the emulator's OCR engine takes some to start."""


def plain(colour: str, kind: str = "PNG", size: tuple[int, int] = (320, 240)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def pdf(*pages: Image.Image) -> bytes:
    file = BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    return file.getvalue()


@pytest.fixture
def rig(emulator_url: str) -> Rig:
    settings: dict[str, Any] = {
        **SETTINGS,
        "guardrail_image": "enforce",
        "guardrail_timeout": PATIENCE,
    }
    return Rig(settings=Settings(_env_file=None, endpoint_url=emulator_url, **settings))


@pytest.fixture
def http(rig: Rig) -> Iterator[httpx.Client]:
    with rig.client() as http:
        yield http


def generate(http: httpx.Client, *pictures: bytes, **more: object) -> httpx.Response:
    body = {"prompt": "What is this?", "images": [b64(data) for data in pictures], **more}
    return http.post("/v1/generate", json=body)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_a_picture_forbidden_by_its_pixels_is_never_sent(http, rig, kind):
    answer = generate(http, plain("red", kind))

    assert (answer.status_code, answer.json()["code"]) == (422, "guardrail_blocked")
    assert answer.json()["guardrail"]["sources"] == ["image"]
    assert rig.model.requests == []
    assert generate(http, plain("green", kind)).status_code == 200


def test_a_picture_forbidden_by_its_words_is_never_sent(http, rig):
    assert generate(http, words("please blockme")).json()["code"] == "guardrail_blocked"
    assert rig.model.requests == []


def test_a_forbidden_page_costs_only_that_page(http):
    pages = [Image.new("RGB", (600, 400), colour) for colour in ("white", "green", "red", "blue")]
    body = {"images": [b64(pdf(*pages))]}
    answer = http.post("/v1/tasks/ocr", json=body).json()

    assert {raw["page"] for raw in answer["raw_texts"]} == {1, 2, 4}
    assert "guardrail_blocked" in str(answer)


def test_a_document_whose_pages_are_all_forbidden_is_refused(http):
    body = {"images": [b64(pdf(Image.new("RGB", (600, 400), "red")))]}
    answer = http.post("/v1/tasks/ocr", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "guardrail_blocked")


def test_a_contact_sheet_is_checked_as_laid_out(http, rig):
    answer = generate(http, plain("red"), plain("red"), image_strategy="contact_sheet")

    assert answer.json()["code"] == "guardrail_blocked"
    assert rig.model.requests == []


def test_with_strategy_each_only_the_forbidden_picture_is_blocked(http):
    answer = generate(http, plain("red"), plain("green"), image_strategy="each").json()

    first, second = answer["generations"]
    assert first["error"]["code"] == "guardrail_blocked"
    assert second["generation"]


def test_a_pictures_verdict_is_remembered_by_its_pixels(http):
    first = generate(http, plain("red", "PNG")).json()["guardrail"]
    again = generate(http, plain("red", "BMP")).json()["guardrail"]

    assert first["units"] == {"content_image": 1}
    assert (again["units"], again["action"], again["cost_usd"]) == ({}, "blocked", 0)


def test_words_read_by_the_model_are_checked_as_its_answer(emulator_url):
    settings = Settings(
        _env_file=None,
        endpoint_url=emulator_url,
        **{**SETTINGS, "guardrail_output": "enforce", "guardrail_timeout": PATIENCE},
    )
    body = {"images": [b64(words("call blockme"))]}
    with Rig(model=None, settings=settings).client() as http:
        answer = http.post("/v1/tasks/ocr", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "guardrail_blocked")
    assert "blockme" not in answer.text
