"""OpenTelemetry's exporters. Imported only if traces or metrics are sent."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import structlog
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_METRIC_EXPORT_INTERVAL, OTEL_SDK_DISABLED
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry

from app.telemetry import bridge

log = structlog.get_logger()

FLUSH_SECONDS = 2.0
"""Maximum seconds to send the rest at the end: a missing collector must not delay the exit."""
_INTERVAL_MS = 60_000.0


@asynccontextmanager
async def open_provider(service: str) -> AsyncIterator[TracerProvider]:
    """Open a provider that sends in batches from a thread, and send the rest at the end."""
    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield provider
    finally:
        await _finish(_started("traces", provider.shutdown))


@asynccontextmanager
async def open_metrics(service: str, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Send the metrics of ``registry``, at intervals from a thread, and once more at the end.

    These are this process's own numbers. Each worker sends its own, which ``service.instance.id``
    tells apart.
    """
    if os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        yield
        return
    exporter = OTLPMetricExporter()
    snapshot = _Snapshot(registry, _resource(service), InstrumentationScope(service))
    periodic = _Periodic(lambda: exporter.export(snapshot()), _interval())
    thread = _started("metrics", periodic.run)
    try:
        yield
    finally:
        periodic.stopping.set()
        await _finish(thread)
        # Ends an export that is still retrying.
        exporter.shutdown()


def _resource(service: str) -> Resource:
    # Created a second time, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
    return Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())


def _started(name: str, run: Callable[[], object]) -> Thread:
    # A daemon thread, as the exit would wait for a thread of a pool.
    thread = Thread(name=name, target=run, daemon=True)
    thread.start()
    return thread


async def _finish(thread: Thread) -> None:
    await asyncio.to_thread(thread.join, FLUSH_SECONDS)
    if thread.is_alive():
        log.warning("collector does not answer", unsent=thread.name)


def _interval() -> float:
    text = os.environ.get(OTEL_METRIC_EXPORT_INTERVAL, "")
    milliseconds = float(text) if text.isdecimal() else 0
    if text and not milliseconds:
        log.warning("not a number of milliseconds", variable=OTEL_METRIC_EXPORT_INTERVAL)
    return (milliseconds or _INTERVAL_MS) / 1000


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Takes snapshots of the metrics for sending."""

    registry: CollectorRegistry
    resource: Resource
    scope: InstrumentationScope
    since: int = field(default_factory=time.time_ns)

    def __call__(self) -> MetricsData:
        metrics = bridge.metrics(self.registry.collect(), self.since, time.time_ns())
        scoped = ScopeMetrics(self.scope, metrics, "")
        return MetricsData([ResourceMetrics(self.resource, [scoped], "")])


@dataclass(frozen=True, slots=True)
class _Periodic:
    """Calls ``send`` at intervals, and once when it is to stop."""

    send: Callable[[], object]
    interval: float
    """Seconds."""
    stopping: Event = field(default_factory=Event)

    def run(self) -> None:
        """Run until ``stopping`` is set."""
        while not self.stopping.wait(self.interval):
            self._send()
        self._send()

    def _send(self) -> None:
        try:
            self.send()
        except Exception:
            # The next attempt may succeed; the library itself logs an unreachable collector.
            log.exception("metrics not sent")
