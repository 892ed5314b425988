"""Combines several model answers into one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from app.domain.cache import Replay
from app.domain.generation import Completion, Generation, Latency, StopReason
from app.domain.guardrail import GuardrailReport
from app.domain.image import AnswerWarning, ImageReport
from app.domain.usage import Usage, summed
from app.services.guardrails.refusal import unchecked
from app.services.guardrails.screening import priced

T = TypeVar("T")


def combined(
    answers: Sequence[Generation],
    *,
    id: str,  # noqa: A002 - its name in answers
    text: str,
    latency: Latency,
    images: Sequence[ImageReport],
    warnings: Sequence[AnswerWarning],
    stop: Completion | None = None,
    lost: Sequence[Usage] = (),
) -> Generation:
    """Return one answer for all, with tokens and cost added up.

    Its creation time is that of the latest answer, and its target is set only if all answers share
    one. The stop reason and log probabilities come from ``stop``; without it, the stop reason is
    the one that all share, or OTHER. ``lost`` is usage paid for answers that are not returned.
    """
    completions = [answer.completion for answer in answers]
    reasons = [stop or completion for completion in completions]
    return Generation(
        id=id,
        model=answers[0].model,
        completion=Completion(
            text=text,
            usage=summed([*(completion.usage for completion in completions), *lost]),
            stop_reason=common([reason.stop_reason for reason in reasons], StopReason.OTHER),
            stop_reason_raw=common([reason.stop_reason_raw for reason in reasons], None),
            target=common([completion.target for completion in completions], None),
            stop_sequence=stop.stop_sequence if stop else None,
            logprobs=stop.logprobs if stop else None,
            guardrail=_guardrails(completions),
            replay=_replay(completions),
        ),
        images=tuple(images),
        warnings=tuple(warnings),
        latency=latency,
        created=max(answer.created for answer in answers),
    )


def reported(generation: Generation, report: GuardrailReport | None) -> Generation:
    """Return ``generation`` with the guardrail ``report`` on other texts, and its cost, added."""
    if report is None:
        return generation
    completion = generation.completion
    known = completion.guardrail
    completion = replace(
        completion,
        usage=priced(completion.usage, report),
        guardrail=report if known is None else known + report,
    )
    warnings = dict.fromkeys((*generation.warnings, *unchecked(report)))
    return replace(generation, completion=completion, warnings=tuple(warnings))


def _replay(completions: Sequence[Completion]) -> Replay | None:
    """Return the oldest replay if all completions were replayed, else None."""
    replays = [c.replay for c in completions if c.replay is not None]
    if not replays or len(replays) < len(completions):
        return None
    return max(replays, key=lambda replay: replay.age)


def _guardrails(completions: Sequence[Completion]) -> GuardrailReport | None:
    """Return the sum of the guardrail reports, or None if there are none."""
    reports = [c.guardrail for c in completions if c.guardrail is not None]
    return sum(reports[1:], reports[0]) if reports else None


def common(values: Sequence[T], otherwise: T) -> T:
    """Return the value that all ``values`` share, or ``otherwise``."""
    return values[0] if len(set(values)) == 1 else otherwise
