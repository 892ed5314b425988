"""A task as server-sent events, over a socket."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.domain.errors import ModelThrottledError
from app.domain.generation import ModelRequest
from tests.support.clients.metrics import value
from tests.support.clients.sse import events
from tests.support.files.documents import FOUR_PAGES
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.service.application import NO_RETRIES, Rig


@pytest.fixture
def model() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=['{"text": "HELLO"}'])


def test_each_page_is_reported_and_the_result_comes_last(client):
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(FOUR_PAGES)], "stream": True})

    assert answer.headers["content-type"].startswith("text/event-stream")
    *progress, (last, result) = events(answer)
    assert [name for name, _ in progress] == ["progress"] * 4
    assert [told["done"] for _, told in progress] == [1, 2, 3, 4]
    assert {told["page"] for _, told in progress} == {1, 2, 3, 4}
    assert {told["total"] for _, told in progress} == {4}
    assert last == "result"
    assert (result["valid"], result["calls"]) == (True, 4)


@pytest.mark.parametrize(
    ("task", "said", "parameters", "part"),
    [
        ("ocr", {"text": "HELLO"}, {}, {"text": "HELLO", "blocks": []}),
        (
            "extract",
            {"total": 42.1},
            {"schema": {"type": "object", "properties": {"total": {"type": "number"}}}},
            {"fields": {"total": 42.1}, "not_found": []},
        ),
        (
            "document-qa",
            {"found": True, "answer": "42.10", "quote": "Total 42.10", "relevance": 1},
            {"question": "What is the total?"},
            {"answer": "42.10", "quote": "Total 42.10"},
        ),
        (
            "grounding",
            {"objects": [{"label": "total", "box": [0, 0, 1, 1]}]},
            {"phrases": ["total", "date"]},
            {"not_found": ["date"]},
        ),
        (
            "chart",
            {"chart_type": "bar", "points": [{"x": "A", "y": 2}], "insight": "One."},
            {},
            {"error": None},
        ),
        (
            "diagram",
            {"kind": "flowchart", "nodes": [{"name": "A"}], "edges": [], "explanation": "One."},
            {},
            {"error": None},
        ),
    ],
)
def test_progress_events_carry_the_result_of_each_page(client, model, task, said, parameters, part):
    model.answers = [json.dumps(said)]
    asked = {"images": [b64(FOUR_PAGES)], "pages": "2-3", "stream": True, **parameters}
    *progress, (_, result) = events(client.post(f"/v1/tasks/{task}", json=asked))

    told = sorted((event for _, event in progress), key=lambda event: event["page"])
    assert [(event["file"], event["number"]) for event in told] == [
        ("images.0", 2),
        ("images.0", 3),
    ]
    assert [event["page_result"] for event in told] == result["result"]["pages"]
    assert told[0]["page_result"].items() >= part.items()


def test_the_streamed_result_equals_the_plain_one(client):
    body = {"images": [b64(ASTRONAUT)]}
    whole = client.post("/v1/tasks/ocr", json=body).json()
    ((name, streamed),) = events(client.post("/v1/tasks/ocr", json={**body, "stream": True}))

    assert name == "result"
    for changing in ("id", "latency_ms"):
        del whole[changing], streamed[changing]
    assert streamed == whole


def test_a_refusal_before_the_first_event_keeps_its_status(client, model):
    model.answers = [ModelThrottledError("later")]
    answer = client.post("/v1/tasks/ocr", json={"images": [b64(ASTRONAUT)], "stream": True})

    assert answer.status_code == 429
    assert answer.json()["code"] == "model_throttled"


def test_a_failed_page_is_reported_as_it_happens(model):
    model.answers = [ModelThrottledError("later"), '{"text": "HELLO"}']
    asked = {"images": [b64(FOUR_PAGES)], "pages": "1-2", "stream": True}
    with Rig(model, retries=NO_RETRIES).client() as client:
        answer = client.post("/v1/tasks/ocr", json=asked)
    *progress, (last, _) = events(answer)

    assert sorted("model_throttled" in (told["fault"] or "") for _, told in progress) == [
        False,
        True,
    ]
    assert all((told["fault"] is None) == (told["page_result"] is not None) for _, told in progress)
    assert last == "result"


def test_when_every_page_fails_the_stream_ends_with_the_error(client, model):
    model.answers = [ModelThrottledError("later")]
    answer = client.post(
        "/v1/tasks/ocr", json={"images": [b64(FOUR_PAGES)], "pages": "1-2", "stream": True}
    )

    assert [name for name, _ in events(answer)] == ["progress", "progress", "error"]
    assert events(answer)[-1][1]["code"] == "model_throttled"
    metrics = client.get("/metrics").text
    assert value(metrics, "llama_vision_refusals_total", code="model_throttled") == 1


@dataclass
class WaitingModel(ScriptedVisionModel):
    """Answers the first call once another is in progress; holds the others until cancelled."""

    cancelled: int = 0
    another: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, request: ModelRequest) -> Any:
        if not self.requests:
            answer = await super().generate(request)
            await self.another.wait()
            return answer
        self.requests.append(request)
        self.another.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def test_a_client_that_leaves_stops_its_calls():
    model = WaitingModel(answers=['{"text": "HELLO"}'])
    with Rig(model).client() as client:
        body = {"images": [b64(FOUR_PAGES)], "stream": True}
        with client.stream("POST", "/v1/tasks/ocr", json=body) as answer:
            first = next(answer.iter_lines())
        until(lambda: model.cancelled == len(model.requests) - 1 > 0)

    assert first == "event: progress"


def until(reached: Any) -> None:
    """Wait until the condition holds, which the server's thread brings about."""
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)
