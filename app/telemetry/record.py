"""The record of one request, to which every step of its processing adds."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from opentelemetry.trace import INVALID_SPAN, NoOpTracer, Span, Status, StatusCode, Tracer

from app.domain.work import WorkUsage
from app.telemetry.trail import Trail


class _Untraced(NoOpTracer):
    """A tracer that records nothing; the library's own looks up the context for each span."""

    def start_span(self, *_: Any, **__: Any) -> Span:  # noqa: ANN401 - the library's parameters
        return INVALID_SPAN


NO_TRACER: Tracer = _Untraced()


@dataclass(slots=True)
class RequestRecord:
    """Everything known of a request at its end. Names, numbers and codes, never content."""

    request_id: str = ""
    method: str = ""
    route: str | None = None
    """The route's template; None if no route took the request."""
    status: int = 0
    """The answer's status; 0 if the client left before it began."""
    code: str | None = None
    """The code of the error in the answer."""
    caller: str | None = None
    """A key's id or a token's subject; None if the caller was not determined."""
    share: str = ""
    """The name whose fair share the request uses: the caller's, or the address without
    authentication. It is not logged."""
    task: str | None = None
    model: str | None = None
    """The id of the model that answered or was called last."""
    target: str | None = None
    """The target that answered or was called last."""
    attempts: int = 0
    """Calls of the model."""
    retries: int = 0
    """The calls that repeated one that failed."""
    stop_reason: str | None = None
    model_refusals: int = 0
    """Answers in which the model refused."""
    images_not_seen: int = 0
    """Answers in which the model said that there was no picture."""
    formed_answers: int = 0
    """Answers that had to have a form."""
    enforced_answers: int = 0
    """Those of them whose form the upstream enforced."""
    repairs: int = 0
    """Answers that missed their form and were asked for again."""
    enforced_repairs: int = 0
    """Repairs of answers whose form the upstream had enforced."""
    forms_refused: int = 0
    """Forms that the upstream refused to enforce."""
    stream: str | None = None
    """How a stream ended: ``completed``, ``failed`` or ``abandoned``."""
    duration_ms: float = 0
    first_token_ms: float | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage; stages that ran at the same time are added up."""
    images: int = 0
    images_cached: int = 0
    """Pictures that had been prepared before."""
    image_bytes_in: int = 0
    image_bytes_out: int = 0
    tiles: int = 0
    decoder_ms: float = 0
    """CPU that decoders took for the request's pictures and pages, in milliseconds."""
    decoder_seconds: float = 0
    """CPU seconds that decoders may take for it, if a job has more than a request; otherwise 0."""
    decoder_timeouts: int = 0
    """Decoder tasks that were stopped at their limit; after the first none is begun."""
    knowledge_base: str | None = None
    """The configured name of the knowledge base that was asked."""
    retrievals: int = 0
    """Calls of a knowledge base."""
    retrieval_retries: int = 0
    """Retrievals that repeated a failed one."""
    chunks_found: int = 0
    chunks_used: int = 0
    """Chunks that the model was shown."""
    chunks_withheld: int = 0
    """Chunks that a store returned against the filter; they are never used."""
    citations: int = 0
    """Citations in answers."""
    citation_faults: int = 0
    """Markers, quotes and sentences of answers that no source supports."""
    unanswered: str | None = None
    """Why a question was not answered from documents."""
    prompt_tokens: int = 0
    generation_tokens: int = 0
    cost_usd: float | None = None
    """The cost at the listed price; None if nothing was generated or the price is unknown."""
    answers_cached: int = 0
    """Answers from the cache."""
    guardrail_action: str | None = None
    """``none``, ``audited``, ``masked`` or ``blocked``; None if no guardrail was called."""
    guardrail_policies: str | None = None
    """Names of the rules that matched, separated by commas."""
    guardrail_units: int = 0
    guardrail_cost_usd: float = 0
    """Guardrail cost at list price; not part of ``cost_usd``, which is the model's."""
    guardrail_units_unpriced: int = 0
    """Units whose price is unknown."""
    started: float = field(default_factory=time.perf_counter)
    tracer: Tracer = NO_TRACER
    trail: Trail | None = None
    """Digests of request and answer; None if neither receipts nor the audit log are on."""

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the request arrived."""
        return round((time.perf_counter() - self.started) * 1000, 1)

    def add(self, other: "RequestRecord") -> None:
        """Add the work of ``other``, a record of work that was done for this request."""
        self.model, self.target = other.model or self.model, other.target or self.target
        self.stop_reason = other.stop_reason or self.stop_reason
        self.knowledge_base = other.knowledge_base or self.knowledge_base
        self.unanswered = other.unanswered or self.unanswered
        self.guardrail_action = other.guardrail_action or self.guardrail_action
        self.guardrail_policies = other.guardrail_policies or self.guardrail_policies
        for name, amount in zip(_COUNTED, _counts(other), strict=True):
            if amount:
                setattr(self, name, getattr(self, name) + amount)
        if self.trail is not None and other.trail is not None:
            self.trail.add(other.trail, shared=False)
        if other.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0) + other.cost_usd
        for name, taken in other.stages_ms.items():
            self.stages_ms[name] = round(self.stages_ms.get(name, 0) + taken, 1)

    @property
    def usage(self) -> WorkUsage:
        """The tokens and the cost of the request's calls of the model."""
        unpriced = self.cost_usd is None and self.generation_tokens > 0
        return WorkUsage(
            self.prompt_tokens, self.generation_tokens, self.cost_usd or 0, int(unpriced)
        )

    def fields(self) -> dict[str, Any]:
        """Return the fields of the log line."""
        # A copy of a dictionary of this size need not grow as it is filled.
        logged = _NAMES.copy()
        logged.update(zip(LOGGED, _values(self), strict=True))
        return logged


_COUNTED = (
    "attempts",
    "retries",
    "model_refusals",
    "images_not_seen",
    "formed_answers",
    "enforced_answers",
    "repairs",
    "enforced_repairs",
    "forms_refused",
    "images",
    "images_cached",
    "image_bytes_in",
    "image_bytes_out",
    "tiles",
    "decoder_ms",
    "decoder_timeouts",
    "retrievals",
    "retrieval_retries",
    "chunks_found",
    "chunks_used",
    "chunks_withheld",
    "citations",
    "citation_faults",
    "prompt_tokens",
    "generation_tokens",
    "answers_cached",
    "guardrail_units",
    "guardrail_cost_usd",
    "guardrail_units_unpriced",
)

_counts = attrgetter(*_COUNTED)

LOGGED = tuple(
    f.name
    for f in fields(RequestRecord)
    if f.name not in ("share", "decoder_seconds", "started", "tracer", "trail")
)
_NAMES: dict[str, Any] = dict.fromkeys(LOGGED)
_values = attrgetter(*LOGGED)

Sink = Callable[[RequestRecord], None]
"""Renders a finished record somewhere. Must neither block nor raise."""

_RECORD: ContextVar[RequestRecord | None] = ContextVar("record", default=None)


def current() -> RequestRecord:
    """Return the record of the request in progress; outside requests an unused one."""
    return _RECORD.get() or RequestRecord()


class recording:  # noqa: N801 - reads as a function
    """Makes a record the current one, in this task and in those that it starts."""

    __slots__ = ("_record", "_token")

    def __init__(self, record: RequestRecord) -> None:
        self._record = record

    def __enter__(self) -> RequestRecord:
        """Begin."""
        self._token = _RECORD.set(self._record)
        return self._record

    def __exit__(self, *_: object) -> None:
        """End."""
        _RECORD.reset(self._token)


class stage:  # noqa: N801 - reads as a function
    """Adds the block's duration to the current record, and traces it as a span."""

    __slots__ = ("_name", "_record", "_span", "_started")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Span:
        """Begin."""
        self._record = current()
        # It is not made the current span: a stream's block may end in another context.
        self._span = self._record.tracer.start_span(self._name)
        self._started = time.perf_counter()
        return self._span

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End."""
        if kind is not None:
            # Only the type is recorded: the message may quote a prompt.
            self._span.set_status(Status(StatusCode.ERROR, kind.__name__))
        self._span.end()
        taken = (time.perf_counter() - self._started) * 1000
        stages = self._record.stages_ms
        stages[self._name] = round(stages.get(self._name, 0) + taken, 1)
