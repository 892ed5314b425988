"""What an answer costs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars."""

    input: float
    output: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.input + self.output


def added(costs: Sequence[Cost | None]) -> Cost | None:
    """Return the cost of all together; None where one is not known, or there are none."""
    known = [cost for cost in costs if cost is not None]
    if not known or len(known) < len(costs):
        return None
    return Cost(sum(cost.input for cost in known), sum(cost.output for cost in known))


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def of(self, prompt_tokens: int, generation_tokens: int) -> Cost:
        """Return what these many tokens cost."""
        return Cost(prompt_tokens * self.input / 1e6, generation_tokens * self.output / 1e6)
