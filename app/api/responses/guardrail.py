"""The guardrails' report on an answer, in the form that every dialect uses."""

from typing import Annotated, Any

from pydantic import Field

from app.domain.guardrail import Action, GuardrailReport
from app.services.deferred_model import DeferredModel


class GuardrailOut(DeferredModel):
    """The guardrails' report: names and numbers, never content."""

    action: Annotated[
        Action,
        Field(
            description="`none`: no rule matched. `audited`: a rule matched and was only "
            "recorded. `masked`: parts of the text are replaced by their kind, or left out. "
            "`blocked`: there is no text."
        ),
    ]
    policies: Annotated[
        list[str], Field(description="The rules that matched: `content:VIOLENCE`, `pii:EMAIL`.")
    ]
    sources: Annotated[
        list[str], Field(description="Where rules matched: `input`, `output`, `image`.")
    ]
    units: Annotated[
        dict[str, int],
        Field(description="Units processed, by the policy that bills them."),
    ]
    latency_ms: Annotated[int, Field(description="Total milliseconds of all checks.")]
    cost_usd: Annotated[
        float | None,
        Field(
            description="US dollars at the listed price, part of the answer's cost; null if the "
            "price of a unit is unknown."
        ),
    ]

    @classmethod
    def from_domain(cls, report: GuardrailReport | None) -> "GuardrailOut | None":
        """Render ``report``."""
        return None if report is None else cls.model_validate(fields(report))


def fields(report: GuardrailReport) -> dict[str, Any]:
    """Return the members of a `GuardrailOut`."""
    return {
        "action": report.action,
        "policies": list(report.policies),
        "sources": list(report.sources),
        "units": dict(report.units),
        "latency_ms": report.latency_ms,
        "cost_usd": report.cost_usd,
    }
