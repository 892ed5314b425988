"""The state of one question in progress."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from os import urandom

from app.domain.errors import GuardrailBlockedError
from app.domain.generation import Generation, Latency, StopReason
from app.domain.guardrail import GuardrailReport
from app.domain.image import AnswerWarning
from app.domain.retrieval import Chunk
from app.services.concurrency.idempotency import digested, slim
from app.services.generation.combine import combined, reported
from app.services.retrieval import checking
from app.services.retrieval.preparation import PreparedPrompt
from app.services.retrieval.request import (
    CheckedAnswer,
    Mode,
    ModelCall,
    RagAnswer,
    RagRequest,
    Unanswered,
)
from app.services.retrieval.search import Findings
from app.telemetry import current


@dataclass(slots=True)
class Work:
    """One question, its chunks, its prompt, and the answers of the model so far."""

    request: RagRequest
    findings: Findings
    prepared: PreparedPrompt
    began: float
    calls: list[ModelCall] = field(default_factory=list)
    checked: CheckedAnswer = field(default_factory=lambda: CheckedAnswer("", None))
    warnings: tuple[AnswerWarning, ...] = ()
    report: GuardrailReport | None = None
    """The guardrail's report on the chunks; None if no guardrail checked them."""
    refusal: GuardrailBlockedError | None = None
    """Why no chunk may be shown; None if they may."""
    id: str = field(default_factory=lambda: f"rag_{urandom(16).hex()}")

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the question arrived."""
        return round((time.perf_counter() - self.began) * 1000)

    def check(self, generation: Generation) -> None:
        """Check the model's answer with markers, and keep the result."""
        self.calls.append(ModelCall("answer", generation))
        completion = generation.completion
        if completion.stop_reason is StopReason.GUARDRAIL:
            self.checked = CheckedAnswer("", Unanswered.REFUSED, raw=completion.text)
        else:
            self.checked = checking.checked(completion.text, self.prepared.sources)


def count(work: Work) -> None:
    """Record the outcome in the request's record."""
    record = current()
    if work.request.mode is Mode.ANSWER:
        record.chunks_used += len(work.prepared.sources)
    record.citations += len(work.checked.citations)
    record.citation_faults += len(work.checked.corrections)
    if work.checked.unanswered is not None:
        record.unanswered = work.checked.unanswered.value


def together(work: Work, generations: Sequence[Generation]) -> Generation:
    """Combine all ``generations`` into one, with the final text."""
    last = generations[-1]
    made = combined(
        generations,
        id=last.id,
        text=work.checked.text,
        latency=Latency(
            total=work.elapsed_ms,
            model=sum(each.latency.model for each in generations),
            first_token=last.latency.first_token,
        ),
        images=last.images,
        warnings=(),
        stop=last.completion,
    )
    return reported(made, work.report)


def slimmed(answer: RagAnswer) -> RagAnswer:
    """Return ``answer`` without its pictures' bytes, as it shows only thumbnails."""
    return replace(
        answer,
        used=tuple(
            replace(source, picture=None, chunk=_bare(source.chunk)) for source in answer.used
        ),
        left_out=tuple(replace(each, chunk=_bare(each.chunk)) for each in answer.left_out),
        checked=replace(
            answer.checked,
            citations=tuple(
                replace(
                    each,
                    source=replace(each.source, picture=None, chunk=_bare(each.source.chunk)),
                )
                for each in answer.checked.citations
            ),
        ),
        calls=tuple(replace(call, generation=slim(call.generation)) for call in answer.calls),
        generation=answer.generation and slim(answer.generation),
    )


def _bare(chunk: Chunk) -> Chunk:
    return replace(chunk, picture=None)


def fingerprint(request: RagRequest) -> bytes:
    """Hash everything that affects the answer, but not the call's other options."""
    context = request.call_context
    # Without the call context, not even its defaults, as each process prints sets in another order.
    apart = ("image", "call_context")
    outline = [getattr(request, each.name) for each in fields(request) if each.name not in apart]
    own = (context.call.caller.filter, context.guardrail)
    return digested((outline, own), () if request.image is None else (request.image,))
