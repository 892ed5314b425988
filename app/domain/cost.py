"""What an answer costs."""

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


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def of(self, prompt_tokens: int, generation_tokens: int) -> Cost:
        """Return what these many tokens cost."""
        return Cost(prompt_tokens * self.input / 1e6, generation_tokens * self.output / 1e6)
