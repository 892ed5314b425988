"""Evidence of tasks, with the real OCR engine and a model that returns scripted answers."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import ImageDraw, ImageFont

from app.services.evidence.reader import PooledReader
from app.settings import Settings
from tests.support.files.drawn_words import encoded, lettered, place, words
from tests.support.files.pictures import DATA, b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.service.application import Rig, reading

# One worker loads the OCR engine, once.
pytestmark = pytest.mark.xdist_group("reading")

LINES = ("Corner Shop", "Date: 01.03.2026", "Total: 42.10", "Currency: EUR")
RECEIPT = words(*LINES)
SCHEMA = {
    "type": "object",
    "properties": {
        "vendor": {"type": "string"},
        "date": {"type": "string"},
        "total": {"type": "number"},
        "paid": {"type": "boolean"},
        "tip": {"type": "number"},
    },
}
FIELDS = {"vendor": "Corner Shop", "date": "2026-03-01", "total": 42.1, "paid": True, "tip": None}
CHINESE = DATA / "droid-fallback-subset.ttf"
OFF = Settings(_env_file=None, usage_store="memory")


@pytest.fixture(scope="module")
def script() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=[""])


@pytest.fixture(scope="module")
def service(script: ScriptedVisionModel) -> Iterator[httpx.Client]:
    with reading(script) as client:
        yield client


@pytest.fixture(autouse=True)
def forgotten(script: ScriptedVisionModel) -> None:
    script.requests.clear()


def run(service: httpx.Client, task: str, **parameters: Any) -> dict[str, Any]:
    answer = service.post(f"/v1/tasks/{task}", json={"images": [b64(RECEIPT)], **parameters})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["valid"], body["faults"]
    return body


def near(box: dict[str, Any], expected: tuple[float, float, float, float]) -> bool:
    """Whether two boxes, in pixels, share at least half of their area."""
    left, top, right, bottom = expected
    own = box["pixels"]
    across = min(own["right"], right) - max(own["left"], left)
    down = min(own["bottom"], bottom) - max(own["top"], top)
    union = (own["right"] - own["left"]) * (own["bottom"] - own["top"])
    union += (right - left) * (bottom - top)
    common = max(0, across) * max(0, down)
    return bool(common >= 0.5 * (union - common))


def test_each_field_has_its_evidence_at_its_own_path(service, script):
    script.answers = [json.dumps(FIELDS)]
    evidence = run(service, "extract", schema=SCHEMA)["evidence"]["fields"]

    assert {name: (e["match"], e["text"]) for name, e in evidence.items()} == {
        "vendor": ("exact", "Corner Shop"),
        "date": ("normalised", "01.03.2026"),
        "total": ("normalised", "42.10"),
    }
    assert {e["source"] for e in evidence.values()} == {"ocr_engine"}
    assert near(evidence["vendor"]["box"], place("Corner Shop", 0))
    assert (evidence["total"]["page"], evidence["total"]["file"]) == (1, "images.0")


def test_a_value_that_the_picture_does_not_show_is_kept_and_marked_unsupported(service, script):
    script.answers = [json.dumps({**FIELDS, "total": 99.99})]
    body = run(service, "extract", schema=SCHEMA)
    total = body["evidence"]["fields"]["total"]

    assert body["result"]["fields"]["total"] == 99.99
    assert (total["match"], total["source"], total["box"]) == ("none", None, None)
    assert (total["confidence"], total["confidence_basis"]) == (0.5, "agreement")
    assert body["calls"] == 1


def test_an_answer_and_its_quote_are_located(service, script):
    script.answers = ['{"found": true, "answer": "42.10", "quote": "Total: 42.10", "relevance": 1}']
    evidence = run(service, "document-qa", question="What is the total?")["evidence"]

    assert evidence["answer"]["match"] == evidence["quote"]["match"] == "exact"
    assert near(evidence["quote"]["box"], place("Total: 42.10", 2))


def test_misread_lines_are_distinguished_from_correctly_read_ones(service, script):
    script.answers = [json.dumps({"text": "Corner Shop\nTotal: 42.70\nCurrencv: EUR"})]
    lines = run(service, "ocr")["evidence"]["lines"]

    assert [line["text"]["match"] for line in lines] == ["exact", "none", "approximate"]


def test_a_box_is_in_pixels_of_the_original_of_a_shrunk_picture(service, script):
    script.answers = [json.dumps(FIELDS)]
    large = encoded(lettered(*LINES, size=(1920, 1440), scale=3))
    answer = service.post(
        "/v1/tasks/extract", json={"images": [b64(large)], "schema": SCHEMA}
    ).json()

    assert answer["images"][0]["scale"] < 1
    box = answer["evidence"]["fields"]["vendor"]["box"]
    assert near(box, place("Corner Shop", 0, 3))


def test_a_number_beside_chinese_words_is_located(service, script):
    script.answers = [json.dumps({"vendor": "東京", "total": 1234.5})]
    image = lettered(size=(640, 160))
    pen, chinese = ImageDraw.Draw(image), ImageFont.truetype(CHINESE, 36)
    pen.text((40, 40), "東京", "black", chinese)
    pen.text((130, 40), "1,234.50", "black", ImageFont.load_default(36))
    answer = service.post(
        "/v1/tasks/extract", json={"images": [b64(encoded(image))], "schema": SCHEMA}
    )
    told = answer.json()["evidence"]["fields"]

    assert [(told[name]["text"], told[name]["match"]) for name in ("vendor", "total")] == [
        ("東京", "exact"),
        ("1,234.50", "normalised"),
    ]
    assert near(told["total"]["box"], (130, 47, 285, 78))


def test_the_ocr_engine_is_not_run_when_no_evidence_is_requested(service, script):
    script.answers = [json.dumps(FIELDS)]

    assert run(service, "extract", schema=SCHEMA, verify="off")["evidence"] is None


def test_without_an_ocr_engine_evidence_is_the_models_quote():
    quoted = '{"found": true, "answer": "42.10", "quote": "Total: 42.10", "relevance": 1}'
    with Rig(ScriptedVisionModel(answers=[quoted]), settings=OFF).client() as client:
        body = run(client, "document-qa", question="What is the total?")

    answer = body["evidence"]["answer"]
    assert (answer["match"], answer["source"], answer["box"]) == ("exact", "quote", None)
    assert (answer["confidence"], set(body["evidence"])) == (None, {"answer", "pages"})


def test_without_an_ocr_engine_fields_have_no_evidence():
    with Rig(ScriptedVisionModel(answers=[json.dumps(FIELDS)]), settings=OFF).client() as client:
        assert run(client, "extract", schema=SCHEMA)["evidence"] is None


def test_without_an_ocr_engine_strict_is_refused_before_any_call():
    model = ScriptedVisionModel(answers=[json.dumps(FIELDS)])
    with Rig(model, settings=OFF).client() as client:
        body = {"images": [b64(RECEIPT)], "schema": SCHEMA, "verify": "strict"}
        answer = client.post("/v1/tasks/extract", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "verify")
    assert model.requests == []


async def test_a_picture_that_the_ocr_engine_cannot_read_is_skipped():
    async with PooledReader() as reader:
        assert await reader.read(b"no picture") is None
        read = await reader.read(RECEIPT)

    assert read is not None
    assert [word.text for word in read[:2]] == ["Corner", "Shop"]
