"""Evidence of tasks over several pages: each page's values have evidence at their path."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest

from app.domain.generation import ModelRequest
from app.services.evidence.claim import leaves
from tests.support.files.drawn_words import encoded, lettered
from tests.support.files.pictures import b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.service.application import reading

# One worker loads the OCR engine, once.
pytestmark = pytest.mark.xdist_group("reading")

PAGES = (
    encoded(lettered("Corner Shop", "Total: 42.10", size=(640, 320))),
    encoded(lettered("Garden Centre", "Total: 7.00", size=(640, 360))),
)
TOTAL = {
    "type": "object",
    "properties": {"vendor": {"type": "string"}, "total": {"type": "number"}},
}


class PagedModel(ScriptedVisionModel):
    """Chooses its answer by the picture's height, in whatever order pictures come."""

    def __init__(self) -> None:
        super().__init__(answering=self._answer)
        self.by_height: dict[int, dict[str, Any]] = {}

    def _answer(self, request: ModelRequest) -> str:
        return json.dumps(self.by_height[request.turns[-1].images[0].height])


@pytest.fixture(scope="module")
def script() -> PagedModel:
    return PagedModel()


@pytest.fixture(scope="module")
def service(script: PagedModel) -> Iterator[httpx.Client]:
    with reading(script) as client:
        yield client


def asked(
    service: httpx.Client, script: PagedModel, task: str, told: Sequence[Any], **parameters: Any
) -> dict[str, Any]:
    script.by_height = dict(zip((320, 360), told, strict=True))
    body = {"images": [b64(page) for page in PAGES], **parameters}
    answer = service.post(f"/v1/tasks/{task}", json=body)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert said["valid"], said["faults"]
    return said


def mirrored(evidence: Any, result: Any) -> bool:
    """Whether each value of a result has evidence at its path."""
    for path, _ in leaves(result):
        place = evidence
        for part in path:
            place = place[part]
        if not {"match", "box", "page", "source", "text"} <= set(place):
            return False
    return True


def test_each_pages_fields_have_evidence(service, script):
    told = ({"vendor": "Corner Shop", "total": 42.1}, {"vendor": "Garden Centre", "total": 9.99})
    body = asked(service, script, "extract", told, schema=TOTAL)
    result, evidence = body["result"], body["evidence"]

    assert mirrored(evidence["fields"], result["fields"])
    assert mirrored(
        [page["fields"] for page in evidence["pages"]],
        [page["fields"] for page in result["pages"]],
    )
    first, second = (page["fields"] for page in evidence["pages"])
    assert [first["vendor"]["text"], second["vendor"]["text"]] == ["Corner Shop", "Garden Centre"]
    assert (second["vendor"]["page"], second["vendor"]["file"]) == (2, "images.1")
    assert (first["total"]["match"], second["total"]["match"]) == ("normalised", "none")


def test_each_pages_answer_has_evidence(service, script):
    told = tuple(
        {"found": True, "answer": total, "quote": f"Total: {total}", "relevance": relevance}
        for total, relevance in (("42.10", 0.5), ("7.00", 0.9))
    )
    body = asked(service, script, "document-qa", told, question="What is the total?")

    assert body["evidence"]["answer"]["page"] == 2
    pages = body["evidence"]["pages"]
    assert [page["answer"]["text"] for page in pages] == ["42.10", "7.00"]
    assert [page["quote"]["page"] for page in pages] == [1, 2]


def test_each_pages_chart_has_evidence(service, script):
    told = tuple(
        {"chart_type": "bar", "title": title, "points": [{"x": "Total", "y": y}], "insight": "-"}
        for title, y in (("Corner Shop", 42.1), ("Garden Centre", 7))
    )
    body = asked(service, script, "chart", told)

    charts = [page["chart"] for page in body["evidence"]["pages"]]
    assert [chart["title"]["text"] for chart in charts] == ["Corner Shop", "Garden Centre"]
    assert [chart["table"]["rows"][0][1]["page"] for chart in charts] == [1, 2]
    assert body["evidence"]["title"] == charts[0]["title"]


def test_blocks_have_evidence(service, script):
    told = tuple(
        {
            "blocks": [
                {"kind": "title", "text": name, "box": [0, 0, 1, 0.5]},
                {"kind": "table", "text": f"| Total: | {total} |\n|---|---|", "box": None},
            ]
        }
        for name, total in (("Corner Shop", "42.10"), ("Garden Centre", "7.00"))
    )
    body = asked(service, script, "ocr", told, output="blocks")

    first, second = body["evidence"]["pages"]
    assert [page["blocks"][0]["text"]["text"] for page in (first, second)] == [
        "Corner Shop",
        "Garden Centre",
    ]
    assert second["blocks"][1]["text"]["match"] == "normalised"
    assert second["tables"][0]["rows"][0][1]["text"] == "7.00"
    assert body["evidence"]["lines"][0]["text"]["match"] == "exact"


def test_a_contradicted_value_is_asked_for_exactly_once_more(service, script):
    told = ({"vendor": "Nobody", "total": 42.1}, {"vendor": "Garden Centre", "total": 7})
    script.requests.clear()
    body = asked(service, script, "extract", told, schema=TOTAL, verify="strict")

    assert body["calls"] == 3
    again = script.requests[-1].turns[-1].text
    assert again.count("vendor: Nobody") == 1
    assert body["result"]["pages"][0]["fields"]["vendor"] == "Nobody"
    assert body["evidence"]["pages"][0]["fields"]["vendor"]["match"] == "none"
