"""Usage by caller, model, task and day."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple


class UsageKey(NamedTuple):
    """The key by which usage is told apart."""

    day: date
    """UTC."""
    model: str
    caller: str
    task: str


MOST = 2**53
"""The bound of counts: no store and no reader of JSON loses a digit below it."""


@dataclass(frozen=True, slots=True)
class UsageCounts:
    """Counts, which are added up."""

    requests: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    images: int = 0
    tiles: int = 0
    cost_usd: float = 0
    unpriced: int = 0
    """Requests that used tokens of an unknown price; their cost is not in ``cost_usd``."""

    @property
    def plausible(self) -> bool:
        """Whether every count is one that a store can hold: neither negative nor beyond `MOST`."""
        return all(0 <= getattr(self, name) <= MOST for name in self.__slots__)

    def __add__(self, other: "UsageCounts") -> "UsageCounts":
        return UsageCounts(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.generation_tokens + other.generation_tokens,
            self.images + other.images,
            self.tiles + other.tiles,
            self.cost_usd + other.cost_usd,
            self.unpriced + other.unpriced,
        )


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The usage of one model by one caller for one task on one day."""

    key: UsageKey
    counts: UsageCounts


@dataclass(frozen=True, slots=True)
class UsageBatch:
    """Rows that are written together, and again as they are until they are."""

    id: str
    rows: tuple[UsageRow, ...]


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which rows are wanted."""

    first: date
    last: date
    caller: str | None = None
    """None: everyone's."""
