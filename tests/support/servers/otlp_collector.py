"""An OTLP collector that receives spans and metrics over HTTP as protobuf."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tests.support.servers.uvicorn import serving


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, a point or a resource."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


@dataclass
class Collector:
    """The requests received, in order."""

    url: str = ""
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    silent: bool = False
    """Whether it accepts requests and never answers."""

    def spans(self) -> dict[str, Any]:
        """Return the spans by name."""
        return {span.name: span for span in self.all_spans()}

    def all_spans(self) -> list[Any]:
        """Return the spans in order."""
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def last(self) -> dict[str, Metric]:
        """Return the metrics of the last export by name."""
        (resource,) = self.metrics[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    def last_of_each(self) -> dict[str, dict[str, Metric]]:
        """Return the last metrics of each sending process, by its `service.instance.id`."""
        found: dict[str, dict[str, Metric]] = {}
        for request in self.metrics:
            (resource,) = request.resource_metrics
            instance = attributes(resource.resource)["service.instance.id"]
            (scope,) = resource.scope_metrics
            found[instance] = {metric.name: metric for metric in scope.metrics}
        return found

    def app(self) -> FastAPI:
        receiver = FastAPI()

        @receiver.post("/v1/traces")
        async def traces(request: Request) -> Response:
            self.traces.append(ExportTraceServiceRequest.FromString(await request.body()))
            return await self._answer()

        @receiver.post("/v1/metrics")
        async def metrics(request: Request) -> Response:
            self.metrics.append(ExportMetricsServiceRequest.FromString(await request.body()))
            return await self._answer()

        return receiver

    async def _answer(self) -> Response:
        while self.silent:  # noqa: ASYNC110 - changed by the test's thread
            await asyncio.sleep(0.02)
        return Response(media_type="application/x-protobuf")


@contextmanager
def collecting() -> Iterator[Collector]:
    """Serve a collector on a socket."""
    collector = Collector()
    with serving(collector.app()) as collector.url:
        try:
            yield collector
        finally:
            collector.silent = False
