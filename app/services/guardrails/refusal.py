"""The error of a blocked answer, where a dialect has it as an error."""

from app.domain.errors import GuardrailBlockedError
from app.domain.generation import Completion

_PLACES = {"input": "the prompt", "image": "a picture", "output": "the answer"}


def blocked(completion: Completion) -> GuardrailBlockedError:
    """Return the error for a blocked ``completion``, with what it cost."""
    report = completion.guardrail
    sources = report.sources if report else ()
    places = " and ".join(_PLACES.get(source, source) for source in sources)
    policies = ", ".join(report.policies) if report else ""
    error = GuardrailBlockedError(
        f"A guardrail blocked {places or 'the request'}{f' ({policies})' if policies else ''}."
    )
    error.usage, error.report = completion.usage, report
    return error
