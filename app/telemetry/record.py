"""The record of one request, which everything along its way adds to."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any

from opentelemetry.trace import NoOpTracer, Span, Status, StatusCode, Tracer


@dataclass(slots=True)
class RequestRecord:
    """All that is known of a request at its end. Names, numbers and codes, never content."""

    request_id: str = ""
    method: str = ""
    route: str | None = None
    """The route's template, None where no route took the request."""
    status: int = 0
    """0 where the client left before an answer began."""
    code: str | None = None
    """Of the error it was answered with."""
    caller: str | None = None
    """A key's id or a token's subject; None where nobody was asked."""
    task: str | None = None
    model: str | None = None
    """The id of the model that answered, or was asked last."""
    target: str | None = None
    """Region or endpoint that answered, or was asked last."""
    attempts: int = 0
    """Calls of the model."""
    stop_reason: str | None = None
    stream: str | None = None
    """How a stream ended: ``completed``, ``failed`` or ``abandoned``."""
    duration_ms: float = 0
    first_token_ms: float | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Time by stage; stages that ran at once are added up."""
    images: int = 0
    images_cached: int = 0
    """Of the pictures, those that were prepared before."""
    image_bytes_in: int = 0
    image_bytes_out: int = 0
    tiles: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    cost_usd: float | None = None
    """At the listed price; None where nothing was generated or the price is unknown."""
    started: float = field(default_factory=time.perf_counter)
    tracer: Tracer = field(default_factory=NoOpTracer)

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the request arrived."""
        return round((time.perf_counter() - self.started) * 1000, 1)

    def fields(self) -> dict[str, Any]:
        """Return what the log line has, by name."""
        return {name: getattr(self, name) for name in LOGGED}


LOGGED = tuple(f.name for f in fields(RequestRecord) if f.name not in ("started", "tracer"))

Sink = Callable[[RequestRecord], None]
"""Renders a finished record somewhere. Must neither block nor raise."""

_RECORD: ContextVar[RequestRecord | None] = ContextVar("record", default=None)


def current() -> RequestRecord:
    """Return the running request's record; one that nobody reads, outside requests."""
    return _RECORD.get() or RequestRecord()


@contextmanager
def recording(record: RequestRecord) -> Iterator[RequestRecord]:
    """Make ``record`` the current one in this task and those it starts."""
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


@contextmanager
def stage(name: str) -> Iterator[Span]:
    """Add the time that the block takes to the current record, and make it a span."""
    record = current()
    stages = record.stages_ms
    # Not made the current span: a stream's block ends in another context than it began.
    span = record.tracer.start_span(name)
    started = time.perf_counter()
    try:
        yield span
    except BaseException as error:
        # The type only: the message may quote a prompt.
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        span.end()
        taken = (time.perf_counter() - started) * 1000
        stages[name] = round(stages.get(name, 0) + taken, 1)
