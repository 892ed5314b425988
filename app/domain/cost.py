"""What an answer costs."""

from collections.abc import Sequence
from dataclasses import dataclass

# Of a dollar: finer than the price of one token, coarser than binary fractions show.
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars."""

    input: float
    output: float

    @property
    def total(self) -> float:
        """Both together."""
        return round(self.input + self.output, _DIGITS)


def added(costs: Sequence[Cost | None]) -> Cost | None:
    """Return the cost of all together; None where one is not known, or there are none."""
    known = [cost for cost in costs if cost is not None]
    if not known or len(known) < len(costs):
        return None
    return Cost(
        round(sum(cost.input for cost in known), _DIGITS),
        round(sum(cost.output for cost in known), _DIGITS),
    )


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def of(self, prompt_tokens: int, generation_tokens: int) -> Cost:
        """Return what these many tokens cost."""
        return Cost(
            round(prompt_tokens * self.input / 1e6, _DIGITS),
            round(generation_tokens * self.output / 1e6, _DIGITS),
        )
