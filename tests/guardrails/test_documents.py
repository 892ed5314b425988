"""Text layers and OCR text of documents are checked by the guardrail before they go out."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from PIL import Image

from app.services.evidence.words import Word
from app.services.geometry import Box
from app.services.registry import Services
from app.settings import Settings
from tests.support.clients import sse
from tests.support.clients.guardrail_dialects import SETTINGS
from tests.support.files.documents import FOUR_PAGES, pdf_of, stream
from tests.support.files.drawn_words import encoded
from tests.support.files.pictures import ROCKET, b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.service.application import Rig

ENFORCE = {"X-Guardrail-Policy": "output=enforce"}
FONT = b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
READ = "Total: 42"


def document(*texts: str) -> bytes:
    """Return a PDF whose pages show a mark and have invisible texts."""
    first = 3 + len(texts)
    pages = [
        b"/MediaBox[0 0 595 842]%b/Contents %d 0 R" % (FONT, first + n) for n in range(len(texts))
    ]
    unseen = [
        stream(b"20 20 9 9 re f BT 3 Tr /F1 24 Tf 50 700 Td (%b) Tj ET" % t.encode()) for t in texts
    ]
    return pdf_of(*pages, more=unseen)


class FixedReader:
    """An OCR engine that reads the same words in every picture."""

    able = True

    async def read(self, picture: bytes) -> tuple[Word, ...]:
        words = ["Blockme", "Total:", "42"]
        return tuple(Word(w, Box(n / 9, 0, (n + 1) / 9, 0.1), 0) for n, w in enumerate(words))


class ReadingRig(Rig):
    """An application with an OCR engine."""

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Services]:
        async with super()._open(settings) as services:
            yield replace(services, tasks=replace(services.tasks, reader=FixedReader()))


@pytest.fixture(scope="module")
def model() -> ScriptedVisionModel:
    return ScriptedVisionModel(answering=lambda _: "")


@pytest.fixture(autouse=True)
def plain_answers(model: ScriptedVisionModel) -> None:
    model.answering = lambda _: json.dumps({"text": READ})


@pytest.fixture(scope="module")
def http(model: ScriptedVisionModel, emulator_url: str) -> Iterator[httpx.Client]:
    settings = Settings(
        _env_file=None, endpoint_url=emulator_url, guardrail_stream="audit", **SETTINGS
    )
    with ReadingRig(model, settings=settings).client() as http:
        yield http


def read(
    http: httpx.Client, data: bytes, headers: dict[str, str], **more: object
) -> httpx.Response:
    body = {"images": [b64(data)], "text_layer": "prefer", "verify": "off", **more}
    return http.post("/v1/tasks/ocr", json=body, headers=headers)


def test_a_blocked_text_layer_is_withheld(http):
    answer = read(http, document("good", "please blockme now"), ENFORCE)
    said = answer.json()
    first, second = said["result"]["pages"]

    assert answer.status_code == 200
    assert "blockme" not in answer.text
    assert (first["text"], first["text_layer"]) == ("good", "good")
    assert (second["text"], second["text_layer"], second["model_text"]) == (READ, None, None)
    assert [note["code"] for note in second["warnings"]] == ["guardrail_blocked"]
    assert [warning["code"] for warning in said["warnings"]] == ["guardrail_blocked"]
    assert said["guardrail"]["action"] == "masked"
    assert said["guardrail"]["policies"] == ["word:custom"]


def test_a_text_layer_is_masked_by_a_masking_rule(http):
    answer = read(http, document("write to ann@example.org"), ENFORCE)

    assert answer.json()["result"]["text"] == "write to {EMAIL}"
    assert "ann@example" not in answer.text


def test_an_audit_reports_a_text_layer_and_withholds_nothing(http):
    answer = read(http, document("please blockme now"), {"X-Guardrail-Policy": "output=audit"})
    said = answer.json()

    assert said["result"]["text"] == "please blockme now"
    assert said["guardrail"]["action"] == "audited"


def test_a_text_layer_is_checked_once_however_many_tiles_the_page_has(http, model):
    before = len(model.requests)
    pieces = read(http, FOUR_PAGES, ENFORCE, pages="1", detail="high").json()
    asked = len(model.requests) - before
    whole = read(http, FOUR_PAGES, ENFORCE, pages="1").json()

    units = [answer["guardrail"]["units"]["word"] for answer in (pieces, whole)]
    assert units[0] - units[1] == asked - 1 > 0


@pytest.mark.parametrize("mode", ["buffer", "window", "audit"])
def test_no_byte_of_a_blocked_text_layer_is_streamed(http, mode):
    headers = {"X-Guardrail-Policy": f"output=enforce,stream={mode}"}
    answer = read(http, document("good", "please blockme now"), headers, stream=True)

    assert answer.status_code == 200
    assert sse.read(answer).names[-1] == "result"
    assert "blockme" not in answer.text
    assert "guardrail_blocked" in answer.text


def test_checking_a_text_layer_is_part_of_the_cost(http):
    data = document("good")
    own, none = read(http, data, ENFORCE), read(http, data, ENFORCE, text_layer="ignore")
    costs = [answer.json()["cost_usd"]["guardrail"] for answer in (own, none)]

    assert costs[0] == own.json()["guardrail"]["cost_usd"]
    assert costs[0] > costs[1] > 0


def lines(*texts: str) -> str:
    return json.dumps({"lines": [{"text": text} for text in texts]})


def test_blocked_text_from_the_ocr_engine_is_withheld(http, model):
    model.answering = lambda _: lines("Blockm", READ)
    free = read(http, ROCKET, {}, layout="lines", verify="report").json()
    answer = read(http, ROCKET, ENFORCE, layout="lines", verify="report")
    said = answer.json()
    first, second = said["evidence"]["lines"]

    assert free["evidence"]["lines"][0]["text"]["text"] == "Blockme"
    assert "blockme" not in answer.text.casefold()
    assert (first["text"]["text"], first["text"]["match"]) == (None, "approximate")
    assert second["text"]["text"] == READ
    assert "guardrail_blocked" in [warning["code"] for warning in said["warnings"]]


def test_a_forbidden_word_split_over_two_tiles_is_blocked(http, model):
    parts = {1120: "Now please block", 800: "lockme today"}
    model.answering = lambda asked: json.dumps({"text": parts[asked.turns[0].images[0].width]})
    picture = Image.effect_noise((1800, 500), 80)
    free = read(http, encoded(picture), {}, detail="high")
    answer = read(http, encoded(picture), ENFORCE, detail="high")

    assert free.json()["result"]["text"] == "Now please blockme today"
    assert (answer.status_code, answer.json()["code"]) == (422, "guardrail_blocked")
    assert answer.json()["generation_token_count"] > 0
    assert "lockme" not in answer.text


def test_a_line_break_does_not_hide_a_forbidden_word(http, model):
    model.answering = lambda _: json.dumps({"text": "first line\nblockme"})
    answer = read(http, ROCKET, ENFORCE, text_layer="ignore")

    assert (answer.status_code, answer.json()["code"]) == (422, "guardrail_blocked")
