"""Tokens and cost: of one answer, and added up by caller, model, task and day."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from app.domain.cost import Cost, added


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts from Bedrock; None if it did not return them."""

    prompt_token_count: int | None = None
    generation_token_count: int | None = None
    cost: Cost | None = None
    """The cost at the listed price; None if the price or a count is unknown."""

    @property
    def total_token_count(self) -> int | None:
        """The sum of both counts; None unless both are known."""
        if self.prompt_token_count is None or self.generation_token_count is None:
            return None
        return self.prompt_token_count + self.generation_token_count


UNKNOWN = Usage()
"""The usage of a call that has not reported any."""


def summed(usages: Sequence[Usage]) -> Usage:
    """Return the sums of tokens and costs; a sum with an unknown part is None."""
    return Usage(
        _total([usage.prompt_token_count for usage in usages]),
        _total([usage.generation_token_count for usage in usages]),
        added([usage.cost for usage in usages]),
    )


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


class UsageKey(NamedTuple):
    """The key under which usage is counted."""

    day: date
    """UTC."""
    model: str
    caller: str
    task: str


MOST = 2**53
"""Upper bound of counts: no store and no reader of JSON loses a digit below it."""


class UsageCounts(NamedTuple):
    """Counts that are added up; two are made for each request."""

    requests: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    images: int = 0
    tiles: int = 0
    cost_usd: float = 0
    unpriced: int = 0
    """Requests whose price is unknown, which ``cost_usd`` does not include."""

    @property
    def plausible(self) -> bool:
        """Whether a store can hold every count: none is negative or above `MOST`."""
        return all(0 <= count <= MOST for count in self)

    def __add__(self, other: "UsageCounts") -> "UsageCounts":  # type: ignore[override] # not a
        # tuple's
        return UsageCounts(*map(operator.add, self, other))


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one model by one caller for one task on one day."""

    key: UsageKey
    counts: UsageCounts


@dataclass(frozen=True, slots=True)
class UsageBatch:
    """Rows that are written together, and repeated unchanged until that succeeds."""

    id: str
    rows: tuple[UsageRow, ...]


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Selects rows of usage."""

    first: date
    last: date
    caller: str | None = None
    """The caller; None for everyone."""
