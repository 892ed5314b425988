"""Metrics as an OTLP collector receives them."""

import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.domain.errors import ModelThrottledError
from app.settings import Settings, SettingsError, load
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.servers.otlp_collector import Collector, attributes
from tests.support.service import worker_processes
from tests.support.service.application import Rig

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
ASKED = {"prompt": "MARKED", "images": [b64(ASTRONAUT)]}
CUMULATIVE = 2
DURATION = "http.server.request.duration"


def sending(model: FakeVisionModel | None = None, **more: Any) -> Rig:
    settings = Settings(_env_file=None, otlp_metrics=True, **more)
    return Rig(model or FakeVisionModel(), settings=settings)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "nothing was sent"
        time.sleep(0.02)


def points(metric: Any) -> list[Any]:
    return list((metric.sum if metric.HasField("sum") else metric.histogram).data_points)


def all_with_attributes(metric: Any, **wanted: object) -> list[Any]:
    return [
        point
        for point in points(metric)
        if {n.replace(".", "_"): v for n, v in attributes(point).items()}.items() >= wanted.items()
    ]


def with_attributes(metric: Any, **wanted: object) -> Any:
    (point,) = all_with_attributes(metric, **wanted)
    return point


def test_pending_metrics_are_sent_at_shutdown(collector):
    with sending().client() as client:
        client.post("/v1/generate", json=ASKED)
        client.post("/v1/generate", json={**ASKED, "stream": True})
        client.post("/v1/generate", json={"prompt": ""})
    found = collector.last()

    duration = found[DURATION]
    assert (duration.unit, duration.histogram.aggregation_temporality) == ("s", CUMULATIVE)
    answered = with_attributes(duration, http_route="/v1/generate", http_response_status_code=200)
    assert (answered.count, sum(answered.bucket_counts)) == (2, 2)
    assert len(answered.bucket_counts) == len(answered.explicit_bounds) + 1
    assert answered.sum > 0
    assert 0 < answered.start_time_unix_nano < answered.time_unix_nano
    assert with_attributes(duration, http_response_status_code=422).count == 1
    tokens = found["gen_ai.client.token.usage"]
    asked = with_attributes(tokens, gen_ai_request_model=MODEL, gen_ai_token_type="input")
    assert (tokens.unit, asked.sum) == ("{token}", 2 * 2)
    assert attributes(asked)["gen_ai.provider.name"] == "aws.bedrock"
    assert points(found["gen_ai.server.time_to_first_token"])[0].count == 1
    images = found["llama_vision.images"].sum
    assert (images.is_monotonic, images.data_points[0].as_double) == (True, 2)
    in_flight = found["http.server.active_requests"].sum
    assert (in_flight.is_monotonic, in_flight.data_points[0].as_double) == (False, 0)
    assert "MARKED" not in str(collector.metrics)


def test_a_failed_call_is_sent_with_its_code(collector):
    with sending(FakeVisionModel(ModelThrottledError("MARKED"))).client() as client:
        client.post("/v1/generate", json=ASKED)
    found = collector.last()

    calls = found["gen_ai.client.operation.duration"]
    assert with_attributes(calls, error_type="model_throttled").count == 1
    assert with_attributes(found["llama_vision.refusals"], code="model_throttled").as_double == 1
    assert "MARKED" not in str(collector.metrics)


def test_metrics_have_the_resource_of_traces_and_its_name_can_be_set(collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "pictures")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    with sending(traces=True).client() as client:
        client.get("/healthz")

    resource = attributes(collector.metrics[-1].resource_metrics[0].resource)
    assert resource["service.name"] == "pictures"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.instance.id"]
    assert attributes(collector.traces[-1].resource_spans[0].resource) == resource


def test_metrics_are_sent_at_the_interval_of_the_standard_variable(collector, monkeypatch):
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    with sending().client() as client:
        client.post("/v1/generate", json=ASKED)
        until(lambda: collector.metrics and DURATION in collector.last())
        sent = len(collector.metrics)
        until(lambda: len(collector.metrics) > sent)


def test_an_interval_that_is_not_a_number_falls_back_to_the_default(collector, monkeypatch):
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "soon")
    with sending().client() as client:
        assert client.get("/healthz").status_code == 200

    assert len(collector.metrics) == 1


@pytest.mark.parametrize("disabled", [False, True])
def test_nothing_is_sent_without_the_setting_or_with_the_sdk_disabled(
    collector, monkeypatch, disabled
):
    if disabled:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with (sending() if disabled else Rig()).client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200

    assert collector.metrics == []


def test_an_unreachable_collector_fails_no_request(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    with sending().client() as client:
        for _ in range(5):
            assert client.post("/v1/generate", json=ASKED).status_code == 200
            time.sleep(0.05)


def test_a_collector_that_never_answers_does_not_delay_shutdown(collector, monkeypatch):
    # Longer than `client` waits for the service to stop.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
    collector.silent = True
    with sending(traces=True).client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200

    assert collector.metrics
    assert collector.traces


def test_each_worker_sends_its_own_numbers_when_it_stops(collector: Collector, emulator_url):
    with worker_processes.service(
        emulator_url, workers=2, otlp_metrics=True, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
    ) as running:
        for _ in range(30):
            # A connection for each request, so that both workers get some.
            httpx.get(f"{running.url}/v1/models").raise_for_status()
        running.process.send_signal(signal.SIGTERM)
        until(lambda: len(collector.metrics) == 2)

    workers = collector.last_of_each().values()
    assert len(workers) == 2
    counts = [
        point.count
        for worker in workers
        if DURATION in worker
        for point in all_with_attributes(worker[DURATION], http_route="/v1/models")
    ]
    assert sum(counts) == 30


@pytest.mark.parametrize("setting", ["TRACES", "OTLP_METRICS"])
def test_without_the_extra_the_start_fails_naming_what_is_missing(monkeypatch, tmp_path, setting):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"LLAMA_VISION_{setting}", "true")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)

    with pytest.raises(SettingsError, match=rf"(?i){setting}.*opentelemetry-exporter-otlp"):
        load()
