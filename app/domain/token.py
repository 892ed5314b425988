"""Token counts before the model is called."""

from dataclasses import dataclass
from enum import StrEnum


class CountMethod(StrEnum):
    """The method by which tokens were counted."""

    EXACT = "exact"
    """Counted with the model's own vocabulary."""
    BOUND = "bound"
    """An upper bound: every token has at least one byte."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a prompt."""

    tokens: int
    method: CountMethod
