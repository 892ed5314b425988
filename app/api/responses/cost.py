"""The cost of an answer, in the form that every dialect uses."""

from functools import partial
from operator import is_, not_
from typing import Annotated, Any

from pydantic import Field

from app.domain.cost import Basis, Cost
from app.services.deferred_model import DeferredModel

COST_HEADER = "X-Cost-Usd"


class WindowOut(DeferredModel):
    """The five minutes for which the running copy of an imported model is billed."""

    cost: Annotated[
        float,
        Field(
            description="US dollars for the whole window, including the answers to "
            "other callers in it."
        ),
    ]
    today: Annotated[
        int,
        Field(
            description="Windows since midnight UTC, including this one, as counted by one process."
        ),
    ]


class CostOut(DeferredModel):
    """US dollars at the listed price."""

    input: Annotated[
        float | None, Field(description="Cost of the input tokens; null if billed by units.")
    ]
    output: Annotated[
        float | None, Field(description="Cost of the output tokens; null if billed by units.")
    ]
    total: Annotated[
        float,
        Field(
            description="The total cost. If billed by units, the share of the window that the "
            "call's seconds took."
        ),
    ]
    basis: Annotated[
        Basis,
        Field(
            description="`tokens`, or `units` for an imported model: it is billed by the time "
            "that a copy runs and has no price per token."
        ),
    ] = Basis.TOKENS
    window: Annotated[
        WindowOut | None, Field(description="The billing window; null if billed by tokens.")
    ] = None
    guardrail: Annotated[
        float,
        Field(
            description="Cost of the guardrails' checks, which is part of the total.",
            exclude_if=not_,
        ),
    ] = 0
    saved: Annotated[
        float | None,
        Field(
            description="Cost that an answer from the cache has saved.",
            exclude_if=partial(is_, None),
        ),
    ] = None

    @classmethod
    def from_domain(cls, cost: Cost | None) -> "CostOut | None":
        """Render ``cost``."""
        return None if cost is None else cls.model_validate(fields(cost))


def fields(cost: Cost) -> dict[str, Any]:
    """Return the members of a `CostOut`."""
    by_tokens = cost.window is None
    return {
        **({"guardrail": cost.guardrail} if cost.guardrail else {}),
        **({} if cost.saved is None else {"saved": cost.saved}),
        "input": cost.input if by_tokens else None,
        "output": cost.output if by_tokens else None,
        "total": cost.total,
        "basis": Basis.TOKENS if by_tokens else Basis.UNITS,
        "window": (
            None if cost.window is None else {"cost": cost.window.cost, "today": cost.window.today}
        ),
    }


def headers(cost: Cost | None) -> dict[str, str]:
    """Return the cost headers of answers in foreign dialects; none if the cost is unknown."""
    if cost is None:
        return {}
    # Written without exponents (1e-06), which not every reader of headers understands.
    fields = {COST_HEADER: f"{cost.total:.10f}", f"{COST_HEADER}-Basis": cost.basis.value}
    if cost.saved is not None:
        fields[f"{COST_HEADER}-Saved"] = f"{cost.saved:.10f}"
    if cost.window is not None:
        return {**fields, f"{COST_HEADER}-Window": f"{cost.window.cost:.10f}"}
    return {
        **fields,
        f"{COST_HEADER}-Input": f"{cost.input:.10f}",
        f"{COST_HEADER}-Output": f"{cost.output:.10f}",
    }
