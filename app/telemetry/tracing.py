"""Spans of one request, in the words of OpenTelemetry's HTTP and GenAI conventions.

Without an exporter every span is the library's own no-op.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.telemetry.record import NO_TRACER, RequestRecord

SERVICE = "llama-vision"

_W3C = TraceContextTextMapPropagator()
_CARRIED = ("traceparent", "tracestate")
_UNTRACED = nullcontext()


def request_span(
    tracer: Tracer, headers: Mapping[bytes, bytes], record: RequestRecord
) -> AbstractContextManager[None]:
    """Open the request's span, a child of the caller's if it sent ``traceparent``."""
    return _UNTRACED if tracer is NO_TRACER else _span(tracer, headers, record)


@contextmanager
def _span(tracer: Tracer, headers: Mapping[bytes, bytes], record: RequestRecord) -> Iterator[None]:
    carrier = {
        name: headers[name.encode()].decode("latin-1")
        for name in _CARRIED
        if name.encode() in headers
    }
    span = tracer.start_span(record.method, context=_W3C.extract(carrier), kind=SpanKind.SERVER)
    record.tracer = tracer
    # No exception is recorded: its message may quote a prompt.
    with trace.use_span(
        span, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield
        finally:
            span.update_name(f"{record.method} {record.route or ''}".strip())
            span.set_attributes(dict(_attributes(record)))
            if record.status >= 500 or record.stream == "failed":
                span.set_status(Status(StatusCode.ERROR, record.code))


def _attributes(record: RequestRecord) -> Iterator[tuple[str, str | int | float]]:
    attributes = {
        "http.request.method": record.method,
        "http.route": record.route,
        "http.response.status_code": record.status,
        "error.type": record.code,
        "llama_vision.request_id": record.request_id,
        "llama_vision.caller": record.caller,
        "llama_vision.images": record.images,
        "llama_vision.image_tiles": record.tiles,
        "llama_vision.cost_usd": record.cost_usd,
    }
    for name, value in attributes.items():
        if value is not None:
            yield name, value


@asynccontextmanager
async def open_tracer() -> AsyncIterator[Tracer]:
    """Open a tracer that sends spans by OTLP over HTTP, configured by ``OTEL_*`` variables."""
    # An optional dependency: only services that send traces install it.
    from app.telemetry.otlp import open_provider

    async with open_provider(SERVICE) as provider:
        yield provider.get_tracer(SERVICE)
