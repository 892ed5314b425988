"""Spans as an OTLP receiver gets them."""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.domain.errors import ModelFailedError
from app.settings import Settings
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.servers.otlp_collector import attributes
from tests.support.service.application import Rig

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
REQUEST = "<method> <route>"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED = {"prompt": "MARKED", "images": [b64(ASTRONAUT)], "max_gen_len": 9}


def traced(model: FakeVisionModel | None = None) -> Rig:
    return Rig(model or FakeVisionModel(), settings=Settings(_env_file=None, traces=True))


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_continues_the_callers_trace(collector, stream):
    with traced().client() as client:
        client.post(
            "/v1/generate",
            json={**ASKED, "stream": stream},
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
    found = collector.spans()

    request, model = found["POST /v1/generate"], found["model"]
    assert request.trace_id.hex() == model.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert {found[name].parent_span_id for name in ("prepare", "model")} == {request.span_id}
    told = attributes(model)
    assert told["gen_ai.provider.name"] == "aws.bedrock"
    assert told["gen_ai.request.model"] == "us.meta.llama3-2-11b-instruct-v1:0"
    assert told["gen_ai.request.max_tokens"] == 9
    assert told["gen_ai.usage.input_tokens"] == 2
    assert attributes(request)["http.response.status_code"] == 200
    assert "MARKED" not in str(collector.traces)
    resource = collector.traces[0].resource_spans[0].resource
    assert attributes(resource)["service.name"] == "llama-vision"


def test_a_failure_is_marked_with_its_code_and_no_message(collector):
    with traced(FakeVisionModel(ModelFailedError("MARKED"))).client() as client:
        client.post("/v1/generate", json=ASKED)
    found = collector.spans()

    assert found["POST /v1/generate"].status.code == 2
    assert attributes(found["POST /v1/generate"])["error.type"] == "model_failed"
    assert found["model"].status.message == "ModelFailedError"
    assert "MARKED" not in str(collector.traces)


def test_without_the_setting_nothing_is_sent(collector, client):
    client.get("/healthz")

    assert collector.traces == []


def test_an_unreachable_receiver_fails_no_request(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with traced().client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200


def documented() -> dict[str, set[str]]:
    """Return the documented spans with their attributes; a leading dot continues the one before."""
    (section,) = re.findall(r"^## Spans\n(.*?)^## ", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    found: dict[str, set[str]] = {}
    for name, cell in re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE):
        attribute, found[name] = "", set()
        for told in re.findall(r"`([a-z_.]+)`", cell):
            attribute = attribute.rpartition(".")[0] + told if told.startswith(".") else told
            found[name].add(attribute)
    return found


def test_the_docs_list_exactly_the_spans_and_attributes_that_are_sent(
    collector,
    emulator_url,
):
    settings = Settings(
        _env_file=None,
        traces=True,
        endpoint_url=emulator_url,
        max_concurrency=1,
        knowledge_bases={"sample": {"id": "SAMPLEKB01"}},
        retrieval_endpoint_url=emulator_url,
    )
    with Rig(None, settings=settings).client() as client:
        question = {
            "question": "What does a day ticket cost?",
            "mode": "retrieve",
            "knowledge_base": "sample",
        }
        client.post("/v1/rag/query", json=question).raise_for_status()

        def ask(stream: bool) -> int:
            return client.post("/v1/generate", json={**ASKED, "stream": stream}).status_code

        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(ask, [False, True] * 4)) == {200}
        assert client.post("/v1/generate", json={"prompt": ""}).status_code == 422
    sent: defaultdict[str, set[str]] = defaultdict(set)
    for span in collector.all_spans():
        sent[REQUEST if " " in span.name else span.name] |= attributes(span).keys()

    assert dict(sent) == documented()
