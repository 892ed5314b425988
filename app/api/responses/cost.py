"""What an answer cost, as every dialect tells it."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.domain.cost import Cost

COST_HEADER = "X-Cost-Usd"


class CostOut(BaseModel):
    """US dollars at the listed price."""

    input: Annotated[float, Field(description="Of the tokens in.")]
    output: Annotated[float, Field(description="Of the tokens out.")]
    total: Annotated[float, Field(description="Both together.")]

    @classmethod
    def of(cls, cost: Cost | None) -> "CostOut | None":
        """Render ``cost``."""
        return None if cost is None else cls.model_validate(cost, from_attributes=True)


def headers(cost: Cost | None) -> dict[str, str]:
    """Return what an answer whose body is not ours says of it; nothing where it is unknown."""
    if cost is None:
        return {}
    # Not as 1e-06: a header is read by more than JSON parsers.
    return {
        COST_HEADER: f"{cost.total:.10f}",
        f"{COST_HEADER}-Input": f"{cost.input:.10f}",
        f"{COST_HEADER}-Output": f"{cost.output:.10f}",
    }
