"""Metrics exported to OpenTelemetry equal those at /metrics."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, Metric, Sum
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics, http_metrics
from opentelemetry.semconv.attributes import error_attributes, http_attributes
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry import RequestRecord, bridge
from app.telemetry.metrics import (
    BILLING_WINDOWS,
    COLD_STARTS,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    Metrics,
)

SINCE, NOW = 1_000, 2_000
CONVENTIONS = (gen_ai_metrics, http_metrics, gen_ai_attributes, http_attributes, error_attributes)
ADDED = {"gen_ai_operation_name", "gen_ai_provider_name"}
Shown = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics, each of which has been used."""
    metrics = Metrics()
    record = RequestRecord(
        method="POST",
        route="/v1/generate",
        status=200,
        model="m",
        attempts=2,
        retries=1,
        stream="completed",
        duration_ms=700,
        first_token_ms=90,
        stages_ms={"prepare": 3, "model": 600},
        images=2,
        images_cached=1,
        image_bytes_in=5000,
        image_bytes_out=4000,
        tiles=5,
        prompt_tokens=20,
        generation_tokens=300,
        cost_usd=0.25,
    )
    metrics(record)
    metrics(RequestRecord(method="POST", status=429, code="throttled", attempts=1))
    metrics(RequestRecord(method="POST", status=200, model="m", attempts=1, prompt_tokens=1))
    metrics.count("llama_vision_limiter_failures_total")
    metrics.count("llama_vision_usage_write_failures_total")
    metrics.count("llama_vision_model_refusals_total", kind="refused")
    metrics.count("llama_vision_formed_answers_total", way="enforced")
    metrics.count("llama_vision_repairs_total", way="enforced")
    metrics.count("llama_vision_forms_refused_total")
    metrics.count("llama_vision_guardrail_verdicts_total", source="input", action="none")
    metrics.count("llama_vision_guardrail_failures_total", source="input")
    metrics.count("llama_vision_guardrail_units_total", policy="word")
    metrics.count("llama_vision_answer_cache_lookups_total", outcome="hit")
    metrics.count("llama_vision_answer_cache_failures_total", operation="get")
    metrics.count(BILLING_WINDOWS, target="us-west-2")
    metrics.observe(COLD_STARTS, 70, target="us-west-2")
    metrics.observe("llama_vision_event_loop_lag_seconds", 7)
    metrics.move("http_server_active_requests", 3)
    for name in GAUGES.keys() - {"http_server_active_requests"}:
        _, names = GAUGES[name]
        metrics.set(name, 1, **dict.fromkeys(names, "us-west-2"))
    # All others, so that every metric is exported.
    for name, (_, names) in COUNTERS.items():
        if names:
            metrics.count(name, 1, **dict.fromkeys(names, "0"))
    for name, (_, names, _) in HISTOGRAMS.items():
        if names:
            metrics.observe(name, 1, **dict.fromkeys(names, "0"))
    metrics.flush()
    return metrics


def bridged(metrics: Metrics) -> list[Metric]:
    return bridge.metrics(metrics.registry.collect(), SINCE, NOW)


def prometheus_name(metric: Metric) -> str:
    """Return a metric's name under OpenTelemetry's rules for Prometheus."""
    name = metric.name.replace(".", "_")
    suffix = {"s": "_seconds", "By": "_bytes"}.get(metric.unit or "", "")
    name += "" if name.endswith(suffix) else suffix
    return f"{name}_total" if isinstance(metric.data, Sum) and metric.data.is_monotonic else name


def labels(point: Any, **more: str) -> frozenset[tuple[str, str]]:
    named = {name.replace(".", "_"): str(value) for name, value in point.attributes.items()}
    return frozenset((named | more).items()) - {(n, v) for n, v in named.items() if n in ADDED}


def as_prometheus(metric: Metric) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
    name = prometheus_name(metric)
    points: Iterable[Any] = metric.data.data_points
    for point in points:
        if not isinstance(metric.data, Histogram):
            yield (name, labels(point)), point.value
            continue
        yield (f"{name}_count", labels(point)), point.count
        yield (f"{name}_sum", labels(point)), point.sum
        bounds = [*map(str, map(float, point.explicit_bounds)), "+Inf"]
        for bound, below in zip(bounds, accumulate(point.bucket_counts), strict=True):
            yield (f"{name}_bucket", labels(point, le=bound)), below


def shown(text: str) -> Shown:
    return {
        (s.name, frozenset((n, v) for n, v in s.labels.items() if v)): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if not s.name.endswith("_created")
    }


async def test_opentelemetry_samples_equal_those_of_the_metrics_page(metrics):
    expected = shown((await metrics.render()).decode())

    assert dict(pair for metric in bridged(metrics) for pair in as_prometheus(metric)) == expected
    assert len(expected) > len({*COUNTERS, *HISTOGRAMS, *GAUGES})


def test_every_metric_is_exported_with_its_description_and_kind(metrics):
    found = {prometheus_name(metric): metric for metric in bridged(metrics)}

    assert set(found) == {*COUNTERS, *HISTOGRAMS, *GAUGES}
    for name, metric in found.items():
        meta = COUNTERS.get(name) or HISTOGRAMS.get(name) or GAUGES[name]
        assert metric.description == meta[0]
        assert isinstance(metric.data, Histogram if name in HISTOGRAMS else Sum)
        assert metric.data.aggregation_temporality is AggregationTemporality.CUMULATIVE
        for point in metric.data.data_points:
            assert (point.start_time_unix_nano, point.time_unix_nano) == (SINCE, NOW)


def test_metric_names_that_are_not_our_own_are_opentelemetrys():
    known = {
        value for module in CONVENTIONS for value in vars(module).values() if isinstance(value, str)
    }

    assert {name for name, _ in bridge.CONVENTIONAL.values()} <= known
    assert {*bridge.ATTRIBUTES.values()} <= known
    theirs = {n for n in {*COUNTERS, *HISTOGRAMS, *GAUGES} if not n.startswith(bridge.OWN)}
    assert theirs == set(bridge.CONVENTIONAL)


def test_genai_metrics_carry_what_the_conventions_require(metrics):
    (duration,) = [m for m in bridged(metrics) if m.name == "gen_ai.client.operation.duration"]
    answered, failed = [p for p in duration.data.data_points if p.attributes][:2]

    assert dict(answered.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "m",
    }
    assert (failed.attributes or {})["error.type"] == "throttled"


def test_a_metric_without_samples_is_left_out():
    names = {metric.name for metric in bridged(Metrics())}

    assert "llama_vision.refusals" not in names
    assert "llama_vision.images" in names  # it has no labels, so it is 0 and not unknown
