"""Spans as a real OTLP receiver gets them."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.domain.errors import ModelFailedError
from app.settings import Settings
from tests.support.app import Rig
from tests.support.fakes import FakeVisionModel
from tests.support.pictures import ASTRONAUT, b64
from tests.support.server import serving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED = {"prompt": "MARKED", "images": [b64(ASTRONAUT)], "max_gen_len": 9}


@pytest.fixture
def received(monkeypatch) -> Iterator[list[ExportTraceServiceRequest]]:
    found: list[ExportTraceServiceRequest] = []
    receiver = FastAPI()

    @receiver.post("/v1/traces")
    async def traces(request: Request) -> Response:
        found.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response(media_type="application/x-protobuf")

    with serving(receiver) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        yield found


def traced(model: FakeVisionModel | None = None) -> Rig:
    return Rig(model or FakeVisionModel(), settings=Settings(_env_file=None, traces=True))


def spans(received: list[ExportTraceServiceRequest]) -> dict[str, Any]:
    return {
        span.name: span
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def attributes(span: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_one_trace_that_goes_on_the_callers(received, stream):
    with traced().client() as client:
        client.post(
            "/v1/generate",
            json={**ASKED, "stream": stream},
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
    found = spans(received)

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
    assert "MARKED" not in str(received)
    names = received[0].resource_spans[0].resource.attributes
    assert {pair.key: pair.value.string_value for pair in names}["service.name"] == "llama-vision"


def test_a_failure_is_marked_with_its_code_and_no_message(received):
    with traced(FakeVisionModel(ModelFailedError("MARKED"))).client() as client:
        client.post("/v1/generate", json=ASKED)
    found = spans(received)

    assert found["POST /v1/generate"].status.code == 2
    assert attributes(found["POST /v1/generate"])["error.type"] == "model_failed"
    assert found["model"].status.message == "ModelFailedError"
    assert "MARKED" not in str(received)


def test_without_the_setting_nothing_is_sent(received, client):
    client.get("/healthz")

    assert received == []


def test_a_receiver_that_is_away_fails_no_request(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with traced().client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200
