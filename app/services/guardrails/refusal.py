"""Errors for content that a guardrail blocks, and its warnings."""

from dataclasses import replace

from app.domain.errors import GuardrailBlockedError
from app.domain.generation import Completion
from app.domain.guardrail import Action, GuardrailReport
from app.domain.image import AnswerWarning
from app.services.guardrails.screening import NOT_ASKED, priced

_PLACES = {"input": "the prompt", "image": "a picture", "output": "the answer"}


def blocked(completion: Completion) -> GuardrailBlockedError:
    """Return the error for a blocked ``completion``, with its cost."""
    report = completion.guardrail
    sources = report.sources if report else ()
    places = " and ".join(_PLACES.get(source, source) for source in sources)
    policies = ", ".join(report.policies) if report else ""
    error = GuardrailBlockedError(
        f"A guardrail blocked {places or 'the request'}{f' ({policies})' if policies else ''}."
    )
    error.usage, error.report = completion.usage, report
    return error


def held_back(what: str, report: GuardrailReport | None) -> GuardrailBlockedError:
    """Return the error for an answer that needs a blocked text."""
    policies = ", ".join(report.policies) if report else ""
    error = GuardrailBlockedError(
        f"A guardrail blocked {what}{f' ({policies})' if policies else ''}."
    )
    error.usage = NOT_ASKED if report is None else priced(NOT_ASKED, report)
    error.report = report and replace(report, action=Action.BLOCKED)
    return error


def unchecked(report: GuardrailReport | None) -> tuple[AnswerWarning, ...]:
    """Yield a warning if content passed unchecked because the guardrail could not be called."""
    if report is None or not report.unchecked:
        return ()
    message = f"The guardrail could not check: {', '.join(report.unchecked)}."
    return (AnswerWarning("guardrail_not_asked", message),)
