"""Prometheus metrics. All but a few gauges and counters are made from finished records.

Names and labels follow OpenTelemetry's conventions for HTTP and GenAI where they have one.
Every label has few values: routes' templates, codes of the catalogue, configured model ids.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
    multiprocess,
)

from app.telemetry.histogram import BatchHistogram
from app.telemetry.record import RequestRecord

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The library's own variable: a directory that all workers write their numbers to."""

METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"})
LOOK = 0.02
"""Seconds between two measurements of the event loop's lag."""
LOOKS = 25
"""Measurements of the lag from one sampling of the gauges to the next."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
# As OpenTelemetry's GenAI conventions advise for token counts.
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 131072)


InstrumentT = TypeVar("InstrumentT", Counter, BatchHistogram)
Labelled = tuple[str, tuple[tuple[str, str], ...]]
"""An instrument's name with the names and values of its labels."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Every instrument of one process, in a registry of its own."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    counters: dict[str, Counter] = field(default_factory=dict)
    histograms: dict[str, BatchHistogram] = field(default_factory=dict)
    gauges: dict[str, Gauge] = field(default_factory=dict)
    _counted: dict[Labelled, float] = field(default_factory=dict)
    """The counters' growth since the last `flush`."""
    _observed: dict[Labelled, list[float]] = field(default_factory=dict)
    """Values that the histograms have not observed yet."""
    _moved: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (text, labels) in COUNTERS.items():
            self.counters[name] = Counter(name, text, labels, registry=self.registry)
        for name, labels_at_zero in FROM_ZERO.items():
            self.counters[name].labels(**labels_at_zero)
        for name, (text, labels, buckets) in HISTOGRAMS.items():
            self.histograms[name] = BatchHistogram(
                name, text, labels, buckets=buckets, registry=self.registry
            )
        for name, (text, labels) in GAUGES.items():
            self.gauges[name] = Gauge(
                name,
                text,
                labels,
                registry=self.registry,
                multiprocess_mode=GAUGE_MODES.get(name, "livesum"),
            )

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to the counter ``name``."""
        if amount:
            key = name, tuple(labels.items())
            self._counted[key] = self._counted.get(key, 0) + amount

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add an observation to the histogram ``name``."""
        self._observed.setdefault((name, tuple(labels.items())), []).append(value)

    def move(self, name: str, by: int) -> None:
        """Raise or lower the gauge ``name``."""
        self._moved[name] = self._moved.get(name, 0) + by

    def flush(self) -> None:
        """Pass the sums on to the library, which takes ten times as long for each request alone.

        It is called on the event loop, twice a second and before each reading.
        """
        for (name, labels), amount in self._counted.items():
            _child(self.counters[name], labels).inc(amount)
        for (name, labels), amounts in self._observed.items():
            _child(self.histograms[name], labels).observe_all(amounts)
        for name, by in self._moved.items():
            self.gauges[name].inc(by)
        self._counted.clear()
        self._observed.clear()
        self._moved.clear()

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set the gauge ``name``."""
        gauge = self.gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def __call__(self, record: RequestRecord) -> None:
        """Count a finished request."""
        _request(self, record)
        if record.attempts:
            _model(self, record)
        if record.images:
            _images(self, record)
        if record.retrievals:
            _retrieval(self, record)

    async def render(self) -> bytes:
        """Return the text that Prometheus reads, for all workers together."""
        self.flush()
        # With several workers it reads files.
        return await asyncio.to_thread(self._rendered)

    def _rendered(self) -> bytes:
        if not os.environ.get(MULTIPROCESS):
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def close(self) -> None:
        """Pass on the last sums, and remove this process's gauges from the workers' totals."""
        self.flush()
        if os.environ.get(MULTIPROCESS):
            multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    async def watch_loop(self, sample: Callable[[], None]) -> None:
        """Measure the event loop's lag until cancelled, and call ``sample`` to set the gauges."""
        loop = asyncio.get_running_loop()
        while True:
            for _ in range(LOOKS):
                due = loop.time() + LOOK
                await asyncio.sleep(LOOK)
                self.observe("llama_vision_event_loop_lag_seconds", max(0.0, loop.time() - due))
            sample()
            self.flush()


def _child(instrument: InstrumentT, labels: tuple[tuple[str, str], ...]) -> InstrumentT:
    return instrument.labels(**dict(labels)) if labels else instrument


def _request(metrics: Metrics, record: RequestRecord) -> None:
    method = record.method if record.method in METHODS else "_OTHER"
    metrics.observe(
        "http_server_request_duration_seconds",
        record.duration_ms / 1000,
        http_request_method=method,
        http_route=record.route or "(none)",
        http_response_status_code=str(record.status),
    )
    for name, milliseconds in record.stages_ms.items():
        metrics.observe("llama_vision_stage_duration_seconds", milliseconds / 1000, stage=name)
    if record.code is not None:
        metrics.count("llama_vision_refusals_total", code=record.code)


def _model(metrics: Metrics, record: RequestRecord) -> None:
    model = record.model or "(none)"
    metrics.observe(
        "gen_ai_client_operation_duration_seconds",
        record.stages_ms.get("model", 0) / 1000,
        gen_ai_request_model=model,
        error_type=record.code or "",
    )
    tokens = {"input": record.prompt_tokens, "output": record.generation_tokens}
    for kind, amount in tokens.items():
        if amount:
            metrics.observe(
                "gen_ai_client_token_usage",
                amount,
                gen_ai_request_model=model,
                gen_ai_token_type=kind,
            )
    if record.first_token_ms is not None:
        metrics.observe(
            "gen_ai_server_time_to_first_token_seconds",
            record.first_token_ms / 1000,
            gen_ai_request_model=model,
        )
    if record.formed_answers or record.forms_refused:
        _forms(metrics, record)
    if record.stream is not None:
        metrics.count("llama_vision_streams_total", outcome=record.stream)
    metrics.count("llama_vision_cost_usd_total", record.cost_usd or 0, gen_ai_request_model=model)
    if record.cost_usd is None and any(tokens.values()):
        metrics.count("llama_vision_unpriced_answers_total", gen_ai_request_model=model)
    metrics.count("llama_vision_model_attempts_total", record.attempts, gen_ai_request_model=model)
    metrics.count("llama_vision_model_retries_total", record.retries, gen_ai_request_model=model)


def _forms(metrics: Metrics, record: RequestRecord) -> None:
    for kind, times in (
        ("refused", record.model_refusals),
        ("image_not_seen", record.images_not_seen),
    ):
        metrics.count("llama_vision_model_refusals_total", times, kind=kind)
    for way, answers, repairs in (
        ("enforced", record.enforced_answers, record.enforced_repairs),
        (
            "prompt",
            record.formed_answers - record.enforced_answers,
            record.repairs - record.enforced_repairs,
        ),
    ):
        metrics.count("llama_vision_formed_answers_total", answers, way=way)
        metrics.count("llama_vision_repairs_total", repairs, way=way)
    metrics.count("llama_vision_forms_refused_total", record.forms_refused)


def _images(metrics: Metrics, record: RequestRecord) -> None:
    metrics.count("llama_vision_images_total", record.images)
    metrics.count("llama_vision_image_cache_hits_total", record.images_cached)
    metrics.count("llama_vision_image_bytes_total", record.image_bytes_in, direction="in")
    metrics.count("llama_vision_image_bytes_total", record.image_bytes_out, direction="out")
    metrics.count("llama_vision_image_tiles_total", record.tiles)


def _retrieval(metrics: Metrics, record: RequestRecord) -> None:
    base = record.knowledge_base or "(none)"
    metrics.count("llama_vision_retrievals_total", record.retrievals, knowledge_base=base)
    metrics.count(
        "llama_vision_retrieval_retries_total", record.retrieval_retries, knowledge_base=base
    )
    for state, chunks in (
        ("found", record.chunks_found),
        ("used", record.chunks_used),
        ("withheld", record.chunks_withheld),
    ):
        metrics.count("llama_vision_chunks_total", chunks, state=state, knowledge_base=base)
    metrics.count("llama_vision_citations_total", record.citations, knowledge_base=base)
    metrics.count("llama_vision_citation_faults_total", record.citation_faults, knowledge_base=base)
    if record.unanswered is not None:
        metrics.count(
            "llama_vision_unanswered_questions_total", reason=record.unanswered, knowledge_base=base
        )


_MODEL = "gen_ai_request_model"
_BASE = "knowledge_base"
COLD_STARTS = "llama_vision_cold_start_seconds"
JOBS = "llama_vision_jobs_total"
WEBHOOK_ATTEMPTS = "llama_vision_webhook_attempts_total"
BILLING_WINDOWS = "llama_vision_billing_windows_total"
RESIDENCY = "llama_vision_residency_violations"
DAYS_LEFT = "llama_vision_model_days_left"
SUCCESSOR = "llama_vision_successor_serving"
AUDIT_FAILURES = "llama_vision_audit_write_failures_total"
GUARDRAIL_VERDICTS = "llama_vision_guardrail_verdicts_total"
GUARDRAIL_FAILURES = "llama_vision_guardrail_failures_total"
GUARDRAIL_UNITS = "llama_vision_guardrail_units_total"
GUARDRAIL_COST = "llama_vision_guardrail_cost_usd_total"
CACHE_LOOKUPS = "llama_vision_answer_cache_lookups_total"
CACHE_STORED = "llama_vision_answer_cache_stored_total"
CACHE_FAILURES = "llama_vision_answer_cache_failures_total"
CACHE_SAVED = "llama_vision_answer_cache_saved_usd_total"
GUARDRAIL_PICTURES = "llama_vision_guardrail_pictures_remembered_total"

BATCH_ROWS = "llama_vision_batch_rows_total"
WORK_WAITING = "llama_vision_work_waiting"
WORK_LEASED = "llama_vision_work_leased"
WORK_OLDEST = "llama_vision_work_oldest_seconds"
BYTES_IN_FLIGHT = "llama_vision_bytes_in_flight_ratio"

FROM_ZERO: dict[str, dict[str, str]] = {WEBHOOK_ATTEMPTS: {"outcome": "given_up"}}
"""Series that start at 0: Prometheus sees no growth in a series that begins at 1."""
COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "llama_vision_refusals_total": (
        "Requests answered with an error, by its code; damaged pictures and streams that failed "
        "count here too.",
        ("code",),
    ),
    "llama_vision_cost_usd_total": ("US dollars spent, at the listed price.", (_MODEL,)),
    BILLING_WINDOWS: (
        "Five-minute windows, begun by calls, for which a copy of an imported model is billed.",
        ("target",),
    ),
    "llama_vision_unpriced_answers_total": ("Answers whose price is unknown.", (_MODEL,)),
    "llama_vision_model_attempts_total": ("Calls of the model, retries included.", (_MODEL,)),
    "llama_vision_model_retries_total": (
        "Calls that repeated a failed one, without those of fallbacks.",
        (_MODEL,),
    ),
    "llama_vision_model_refusals_total": (
        "Answers to tasks and in forms in which the model refused (`refused`), or saw no picture "
        "(`image_not_seen`).",
        ("kind",),
    ),
    "llama_vision_formed_answers_total": (
        "Answers that need a form: the upstream enforced it (`enforced`), or the `prompt` asked "
        "for it.",
        ("way",),
    ),
    "llama_vision_repairs_total": (
        "Answers among these that missed the form and were asked for again: one more paid call "
        "each.",
        ("way",),
    ),
    "llama_vision_forms_refused_total": (
        "Forms that the upstream refused to enforce; the prompt asks for them since.",
        (),
    ),
    "llama_vision_streams_total": (
        "Streams that began: `completed`, `failed`, or `abandoned` by the client.",
        ("outcome",),
    ),
    "llama_vision_retrievals_total": (
        "Calls of a knowledge base, retries included.",
        (_BASE,),
    ),
    "llama_vision_retrieval_retries_total": (
        "Calls among these that repeated a failed one.",
        (_BASE,),
    ),
    "llama_vision_chunks_total": (
        "Chunks of documents: `found`, `used` in prompts, and `withheld` because a store returned "
        "them against the filter.",
        ("state", _BASE),
    ),
    "llama_vision_citations_total": ("Citations in answers, checked.", (_BASE,)),
    "llama_vision_citation_faults_total": (
        "Markers without a source, quotes that are not in their source, sentences without support.",
        (_BASE,),
    ),
    "llama_vision_unanswered_questions_total": (
        "Questions that the documents did not answer, by reason.",
        ("reason", _BASE),
    ),
    "llama_vision_images_total": ("Pictures taken in.", ()),
    "llama_vision_image_cache_hits_total": ("Pictures that had been prepared before.", ()),
    "llama_vision_image_bytes_total": (
        "Bytes of pictures, received (`in`) and prepared (`out`).",
        ("direction",),
    ),
    "llama_vision_image_tiles_total": ("560-pixel tiles for the vision encoder.", ()),
    BATCH_ROWS: (
        "Rows of batches that were answered (`succeeded`, `failed`), or that met a passing "
        "error and are tried again (`postponed`).",
        ("outcome",),
    ),
    "llama_vision_limiter_failures_total": (
        "Calls that were allowed or refused because limits could not be counted.",
        (),
    ),
    AUDIT_FAILURES: (
        "Failed attempts to write audit records; the records are kept in memory meanwhile.",
        (),
    ),
    JOBS: ("Jobs that have ended: `completed` or `failed`.", ("outcome",)),
    WEBHOOK_ATTEMPTS: (
        "Attempts to deliver a webhook: `delivered`, `pending` where another one follows, or "
        "`given_up`.",
        ("outcome",),
    ),
    CACHE_LOOKUPS: (
        "Look-ups in the answer cache: a `hit`, a `miss`, a request `joined` to an equal one in "
        "progress, or `fresh` because the request asked for a new answer.",
        ("outcome",),
    ),
    CACHE_STORED: ("Answers that were stored in the cache.", ()),
    CACHE_FAILURES: (
        "Operations of the answer cache that failed (`get`, `put`, `claim`, `release`), entries "
        "that could not be `read`, and data keys that were not available (`key`).",
        ("operation",),
    ),
    CACHE_SAVED: ("US dollars that cached answers would have cost.", ()),
    GUARDRAIL_VERDICTS: (
        "Verdicts of guardrails on an `input`, an `output` or an `image`: `none`, `audited`, "
        "`masked` or `blocked`; `model` where Bedrock found nothing within its call.",
        ("source", "action"),
    ),
    GUARDRAIL_FAILURES: (
        "Checks that could not be made: the request was refused, or passed with a warning.",
        ("source",),
    ),
    GUARDRAIL_UNITS: (
        "Units that guardrails processed, by the policy they are billed by.",
        ("policy",),
    ),
    GUARDRAIL_COST: ("US dollars spent on guardrails, at the listed price.", ()),
    GUARDRAIL_PICTURES: ("Pictures whose earlier verdict was used again.", ()),
    "llama_vision_usage_write_failures_total": (
        "Writes of usage that failed; the numbers are kept for the next.",
        (),
    ),
}
HISTOGRAMS: dict[str, tuple[str, tuple[str, ...], tuple[float, ...]]] = {
    "http_server_request_duration_seconds": (
        "Time from a request's arrival to the end of its answer; status 0 if the client left.",
        ("http_request_method", "http_route", "http_response_status_code"),
        _SECONDS,
    ),
    "llama_vision_stage_duration_seconds": (
        "Time of a request by stage: `prepare` its pictures, `guardrail` checks, `wait` in line, "
        "`model` to answer, `retrieve` from a knowledge base.",
        ("stage",),
        _SECONDS,
    ),
    "gen_ai_client_operation_duration_seconds": (
        "Time that calls of the model took for one request; `error_type` is the error's code.",
        (_MODEL, "error_type"),
        _SECONDS,
    ),
    "gen_ai_client_token_usage": (
        "Tokens of one request, `input` or `output`.",
        (_MODEL, "gen_ai_token_type"),
        _TOKENS,
    ),
    "gen_ai_server_time_to_first_token_seconds": (
        "Time from a streamed request's arrival to its first text.",
        (_MODEL,),
        _SECONDS,
    ),
    COLD_STARTS: (
        "Time from a loading model's first refusal to its first answer; the count is that of "
        "starts.",
        ("target",),
        (10, 20, 30, 45, 60, 90, 120, 180, 240, 300, 600, 1200),
    ),
    "llama_vision_event_loop_lag_seconds": (
        "Delay with which the event loop woke a timer; above 0.1 something blocks it.",
        (),
        (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    ),
}
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "http_server_active_requests": ("Requests in flight.", ()),
    "llama_vision_target_breaker_open": (
        "1 while a target's circuit breaker is open; with several workers, the number of those.",
        ("target",),
    ),
    "llama_vision_knowledge_base_breaker_open": (
        "1 while a knowledge base's circuit breaker is open; with several workers, the number "
        "of those.",
        (_BASE,),
    ),
    "llama_vision_target_active_calls": ("Calls under way to a target.", ("target",)),
    "llama_vision_target_waiting_requests": ("Requests in line for a target.", ("target",)),
    "llama_vision_target_loading": (
        "1 while a target's model is loaded after it was scaled to zero.",
        ("target",),
    ),
    BYTES_IN_FLIGHT: (
        "Share of the memory for bodies and fetched pictures that is in use, 0 to 1; with "
        "several workers, that of the fullest.",
        (),
    ),
    RESIDENCY: (
        "1 while a hop is outside the allowed regions, or its region is unknown.",
        ("hop",),
    ),
    DAYS_LEFT: (
        "Days until Bedrock ends a target's model; negative afterwards. Absent without an end.",
        ("target",),
    ),
    SUCCESSOR: (
        "1 while a successor answers in place of the configured model.",
        ("target",),
    ),
    WORK_WAITING: ("Rows, jobs and webhooks that wait on the queue.", ("kind",)),
    WORK_LEASED: ("Rows, jobs and webhooks in progress.", ("kind",)),
    WORK_OLDEST: ("Seconds since the oldest waiting item was queued.", ("kind",)),
}
GAUGE_MODES: dict[str, Literal["livemax", "livemin"]] = {
    RESIDENCY: "livemax",
    DAYS_LEFT: "livemin",
    SUCCESSOR: "livemax",
    # All workers share one queue, so each shows the same number.
    WORK_WAITING: "livemax",
    WORK_LEASED: "livemax",
    WORK_OLDEST: "livemax",
    # The fullest worker matters.
    BYTES_IN_FLIGHT: "livemax",
}
"""The ways in which workers' gauges are combined; all others are added up."""
