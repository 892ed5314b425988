"""Tokens as counted before the model is asked."""

from dataclasses import dataclass
from enum import StrEnum


class CountMethod(StrEnum):
    """How tokens were counted."""

    EXACT = "exact"
    """With the model's own vocabulary."""
    BOUND = "bound"
    """An upper bound: no token is shorter than a byte."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a prompt."""

    tokens: int
    method: CountMethod
