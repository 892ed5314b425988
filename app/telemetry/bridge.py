"""Converts Prometheus's metrics to OpenTelemetry's data, so that there is one list of metrics.

A name here becomes the name at /metrics again by OpenTelemetry's rules for Prometheus: dots become
underscores, the unit and ``_total`` are appended. So a dashboard reads either.
Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.util.types import AttributeValue
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

OWN = "llama_vision"
CONVENTIONAL = {
    "http_server_request_duration_seconds": ("http.server.request.duration", "s"),
    "http_server_active_requests": ("http.server.active_requests", "{request}"),
    "gen_ai_client_operation_duration_seconds": ("gen_ai.client.operation.duration", "s"),
    "gen_ai_client_token_usage": ("gen_ai.client.token.usage", "{token}"),
    "gen_ai_server_time_to_first_token_seconds": ("gen_ai.server.time_to_first_token", "s"),
}
"""Names and units of the metrics that OpenTelemetry's conventions know."""
ATTRIBUTES = {
    name.replace(".", "_"): name
    for name in (
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "gen_ai.request.model",
        "gen_ai.token.type",
        "error.type",
    )
}
"""Labels that the conventions know; ours stay as they are."""
_GEN_AI: dict[str, AttributeValue] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "aws.bedrock",
}


def metrics(families: Iterable[Family], since: int, now: int) -> list[Metric]:
    """Return ``families`` as they stand at ``now``, counted from ``since``; both in Unix ns."""
    return [_metric(family, since, now) for family in families if family.samples]


def named(family: str) -> tuple[str, str]:
    """Return OpenTelemetry's name and unit for a Prometheus family."""
    if family in CONVENTIONAL:
        return CONVENTIONAL[family]
    name = f"{OWN}.{family.removeprefix(OWN + '_')}"
    if name.endswith("_seconds"):
        return name.removesuffix("_seconds"), "s"
    return name, "By" if name.endswith("_bytes") else ""


def _metric(family: Family, since: int, now: int) -> Metric:
    name, unit = named(family.name)
    constant = _GEN_AI if name.startswith("gen_ai.") else {}
    data = _histogram if family.type == "histogram" else _sum
    return Metric(name, family.documentation, unit, data(family, constant, since, now))


def _sum(family: Family, constant: Mapping[str, AttributeValue], since: int, now: int) -> Sum:
    # Our gauges count things and add up over processes, so OpenTelemetry's Sum fits them.
    points = [
        NumberDataPoint({**constant, **_attributes(sample.labels)}, since, now, sample.value)
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    return Sum(points, AggregationTemporality.CUMULATIVE, family.type == "counter")


def _histogram(
    family: Family, constant: Mapping[str, AttributeValue], since: int, now: int
) -> Histogram:
    points = [
        _distribution(tuple(samples), {**constant, **attributes}, since, now)
        for attributes, samples in groupby(family.samples, lambda s: _attributes(s.labels))
    ]
    return Histogram(points, AggregationTemporality.CUMULATIVE)


def _distribution(
    samples: tuple[Sample, ...], attributes: dict[str, AttributeValue], since: int, now: int
) -> HistogramDataPoint:
    # Prometheus counts all values below a bound, OpenTelemetry those between two bounds.
    below = [(float(s.labels["le"]), int(s.value)) for s in samples if "le" in s.labels]
    counts = [below[0][1], *(after - before for (_, before), (_, after) in pairwise(below))]
    return HistogramDataPoint(
        attributes,
        since,
        now,
        count=below[-1][1],
        sum=next(s.value for s in samples if s.name.endswith("_sum")),
        bucket_counts=counts,
        explicit_bounds=[bound for bound, _ in below[:-1]],
        # Optional in the protocol, and Prometheus keeps neither.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
    )


def _attributes(labels: Mapping[str, str]) -> dict[str, AttributeValue]:
    return dict(_attribute_pairs(labels))


def _attribute_pairs(labels: Mapping[str, str]) -> Iterator[tuple[str, AttributeValue]]:
    for label, value in labels.items():
        # An empty label counts as absent, as it does for Prometheus itself.
        if label != "le" and value:
            name = ATTRIBUTES.get(label, label)
            yield name, int(value) if name == "http.response.status_code" else value
