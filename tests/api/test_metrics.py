"""/metrics, the log line of a request and EMF, and that docs/metrics.md explains them."""

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from app.domain.access import Scope
from app.domain.errors import ModelThrottledError
from app.settings import Settings
from app.settings.telemetry import Dimension
from app.telemetry import RequestRecord
from app.telemetry.emf import GAUGE_INTERVAL, PROCESS_UNITS, UNITS, EmbeddedGauges, EmbeddedMetrics
from app.telemetry.metrics import COUNTERS, GAUGES, HISTOGRAMS
from app.telemetry.record import LOGGED
from tests.support.clients.metrics import MODEL, documented, section, value
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import NO_RETRIES, Rig

ASKED = {"prompt": "one two", "images": [b64(ASTRONAUT)]}


def test_a_request_updates_every_metric_about_it(client):
    client.post("/v1/generate", json=ASKED)
    client.post("/v1/generate", json={**ASKED, "stream": True})
    client.post("/v1/generate", json={"prompt": ""})
    text = client.get("/metrics").text

    route = {"http_request_method": "POST", "http_route": "/v1/generate"}
    count = "http_server_request_duration_seconds_count"
    assert value(text, count, **route, http_response_status_code="200") == 2
    assert value(text, count, **route, http_response_status_code="422") == 1
    assert value(text, "llama_vision_refusals_total", code="prompt_missing") == 1
    assert value(text, "llama_vision_streams_total", outcome="completed") == 1
    assert value(text, "llama_vision_model_attempts_total", gen_ai_request_model=MODEL) == 2
    assert value(text, "llama_vision_images_total") == 2
    assert value(text, "llama_vision_image_tiles_total") == 2
    assert value(text, "llama_vision_image_bytes_total", direction="in") == 2 * len(ASTRONAUT)
    assert value(text, "llama_vision_stage_duration_seconds_count", stage="prepare") == 2
    tokens = {"gen_ai_request_model": MODEL, "gen_ai_token_type": "input"}
    assert value(text, "gen_ai_client_token_usage_sum", **tokens) == 6
    assert value(text, "llama_vision_cost_usd_total", gen_ai_request_model=MODEL) > 0
    first = "gen_ai_server_time_to_first_token_seconds_count"
    assert value(text, first, gen_ai_request_model=MODEL) == 1
    assert value(text, "http_server_active_requests") == 1  # the scrape itself


def test_several_calls_of_one_request_are_not_counted_as_retries(client):
    several = {"prompt": "?", "images": [b64(ASTRONAUT)] * 3, "image_strategy": "each"}
    client.post("/v1/generate", json=several).raise_for_status()
    text = client.get("/metrics").text

    assert value(text, "llama_vision_model_attempts_total", gen_ai_request_model=MODEL) == 3
    assert "llama_vision_model_retries_total{" not in text


def test_an_unknown_path_or_method_adds_no_label_value(client):
    client.get("/v1/secret-path-of-mine")
    client.request("BREW", "/v1/generate")
    text = client.get("/metrics").text

    assert "secret-path" not in text
    assert "BREW" not in text
    assert 'http_route="(none)"' in text


def test_metrics_need_their_scope(tmp_path):
    keys = tmp_path / "keys.json"
    scraper, other = add_key(keys, Scope.METRICS), add_key(keys, Scope.GENERATE)
    with guarded(keys).client() as client:
        assert client.get("/metrics", headers=bearer(scraper)).status_code == 200
        assert client.get("/metrics", headers=bearer(other)).status_code == 403
        assert client.get("/metrics").status_code == 401


def test_each_request_has_one_record_with_what_happened(tmp_path):
    records: list[RequestRecord] = []
    keys = tmp_path / "keys.json"
    text = add_key(keys, Scope.GENERATE)
    with guarded(keys, more={"sinks": (records.append,)}).client() as client:
        client.post("/v1/generate", json=ASKED, headers={**bearer(text), "x-request-id": "r-1"})
        client.post("/v1/generate", json=ASKED)

    answered, refused = records
    assert (answered.request_id, answered.method, answered.route) == ("r-1", "POST", "/v1/generate")
    assert (answered.status, answered.code, answered.caller) == (200, None, text.split("_")[1])
    assert (answered.model, answered.target, answered.attempts) == (MODEL, "us-west-2", 1)
    assert (answered.images, answered.tiles) == (1, 1)
    assert answered.image_bytes_in == len(ASTRONAUT)
    assert (answered.prompt_tokens, answered.stop_reason) == (3, "stop")
    assert {"prepare", "model"} <= answered.stages_ms.keys()
    assert answered.duration_ms > 0
    assert (refused.status, refused.code, refused.caller) == (401, "credentials_missing", None)


def test_a_failure_after_a_picture_was_prepared_is_recorded_with_its_code():
    records: list[RequestRecord] = []
    model = FakeVisionModel(ModelThrottledError("later"))
    rig = Rig(model, retries=NO_RETRIES, more={"sinks": (records.append,)})
    with rig.client() as client:
        client.post("/v1/generate", json=ASKED)

    (record,) = records
    assert (record.status, record.code, record.attempts) == (429, "model_throttled", 1)
    assert (record.images, record.cost_usd) == (1, None)


def test_an_emf_line_has_the_structure_that_cloudwatch_requires():
    lines: list[str] = []
    record = RequestRecord(model="m", attempts=1, status=200, duration_ms=5, caller="ann")
    EmbeddedMetrics("Ns", write=lines.append)(record)
    EmbeddedMetrics("Ns", write=lines.append)(RequestRecord())

    (line,) = lines
    found = json.loads(line)
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Ns"
    assert isinstance(found["_aws"]["Timestamp"], int)
    for metric in directive["Metrics"]:
        assert isinstance(found[metric["Name"]], int | float)
        assert metric["Unit"] == UNITS[metric["Name"]]
    for dimension in {name for names in directive["Dimensions"] for name in names}:
        assert isinstance(found[dimension], str)
    assert len(directive["Metrics"]) <= 100
    assert "Caller" not in {name for names in directive["Dimensions"] for name in names}


def test_a_process_reports_the_peak_of_each_interval_to_cloudwatch():
    lines: list[str] = []
    now = 1.0
    gauges = EmbeddedGauges("Ns", write=lines.append, clock=lambda: now)

    for share in (0.1, 0.75, 0.2):
        gauges.sample(share)
    now += GAUGE_INTERVAL
    gauges.sample(0)
    now += GAUGE_INTERVAL
    gauges.sample(0)

    documents = [json.loads(line) for line in lines]
    assert [document["BytesInFlight"] for document in documents] == [10, 75, 0]
    (definition,) = documents[0]["_aws"]["CloudWatchMetrics"]
    assert {*PROCESS_UNITS} <= documents[0].keys()
    assert definition["Namespace"] == "Ns"
    assert definition["Metrics"] == [{"Name": "BytesInFlight", "Unit": "Percent"}]


def test_emf_dimensions_are_those_of_the_setting(capfd):
    chosen = Settings(_env_file=None, emf_namespace="Ns", emf_dimensions="Route,Task,Caller")
    with Rig(settings=chosen).client() as client:
        client.post("/v1/generate", json=ASKED).raise_for_status()
    (line,) = [text for text in capfd.readouterr().out.splitlines() if '"_aws"' in text]
    found = json.loads(line)

    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["Route", "Task", "Caller"], ["Route"]]
    assert (found["Route"], found["Task"]) == ("/v1/generate", "generate")


def test_every_possible_emf_dimension_is_a_string_in_the_line():
    lines: list[str] = []
    EmbeddedMetrics("Ns", ("Service",), write=lines.append)(RequestRecord(attempts=1))
    found = json.loads(lines[0])

    assert all(found[name] and isinstance(found[name], str) for name in get_args(Dimension))
    assert found["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Service"]]


@pytest.mark.parametrize(
    ("title", "names"), [("Log fields", set(LOGGED)), ("CloudWatch", {*UNITS, *PROCESS_UNITS})]
)
def test_the_docs_explain_exactly_the_fields_of_a_record(title, names):
    assert set(re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)) == names


def test_every_member_of_an_emf_line_is_in_the_docs():
    lines: list[str] = []
    EmbeddedMetrics("Ns", write=lines.append)(RequestRecord(attempts=1))
    beside = json.loads(lines[0]).keys() - UNITS.keys() - {"_aws"}

    assert beside == {name for name in re.findall(r"`([A-Z][A-Za-z]+)`", section("CloudWatch"))
                      if name not in {*UNITS, *PROCESS_UNITS}}  # fmt: skip


def test_the_docs_list_exactly_the_metrics_with_kind_labels_and_meaning():
    kinds: dict[str, Mapping[str, tuple[Any, ...]]] = {
        "counter": COUNTERS, "histogram": HISTOGRAMS, "gauge": GAUGES,
    }  # fmt: skip

    assert documented() == {
        name: (kind, ", ".join(f"`{label}`" for label in labels), text)
        for kind, instruments in kinds.items()
        for name, (text, labels, *_) in instruments.items()
    }
