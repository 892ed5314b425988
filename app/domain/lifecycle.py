"""A model's lifecycle, as AWS states it."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

THRESHOLDS = (180, 90, 45, 30, 7)
"""Days before a model's end at which callers are warned again. AWS's notice periods are six months
and 45 days."""


class LifeStatus(StrEnum):
    """A stage in a model's lifecycle."""

    ACTIVE = "active"
    LEGACY = "legacy"
    """Bedrock will end the model, and refuses accounts that have not used it lately."""
    ENDED = "ended"
    MISSING = "missing"
    """AWS does not know the model: an imported one was deleted, or the id is wrong."""
    UNKNOWN = "unknown"
    """AWS returned no status."""


@dataclass(frozen=True, slots=True)
class Life:
    """A model's lifecycle as far as it is known."""

    status: LifeStatus
    source: str
    """The AWS operation that returned these facts, or why they are unknown."""
    checked: datetime
    legacy: date | None = None
    """The day from which the model is legacy."""
    extended_access: date | None = None
    """The day from which extended access is charged."""
    end: date | None = None
    """The day from which Bedrock refuses calls."""
    told: bool = True
    """Whether the end is AWS's, not that of the service's own table: contracts may move it."""

    def days_left(self, today: date) -> int | None:
        """Return the days until the end; None if there is none."""
        return None if self.end is None else (self.end - today).days

    def stage(self, today: date) -> LifeStatus:
        """Return the status on a day, which may be later than that of AWS's answer."""
        if self.status in (LifeStatus.MISSING, LifeStatus.UNKNOWN):
            return self.status
        if self.end is not None and today >= self.end:
            return LifeStatus.ENDED
        if self.legacy is not None and today >= self.legacy:
            return LifeStatus.LEGACY
        return self.status

    def threshold(self, today: date) -> int | None:
        """Return the smallest of `THRESHOLDS` that was passed; None if none was."""
        left = self.days_left(today)
        if left is None:
            return None
        return min((days for days in THRESHOLDS if left <= days), default=None)

    def notice(self, model: str, today: date) -> str | None:
        """Return the notice for callers and operators; None if there is nothing to report."""
        left = self.days_left(today)
        match self.stage(today):
            case LifeStatus.ENDED:
                return f"Bedrock ended {model} on {self.end}."
            case LifeStatus.MISSING:
                return f"AWS knows no {model}: {self.source}."
            case LifeStatus.LEGACY if left is None:
                return f"{model} is legacy: Bedrock will end it on a day that is not known yet."
            case LifeStatus.LEGACY:
                return f"{model} is legacy: Bedrock ends it on {self.end}, in {left} days."
        if self.threshold(today) is not None:
            return f"Bedrock ends {model} on {self.end}, in {left} days."
        return None


def soonest(lives: list[Life]) -> Life:
    """Return the lifecycle that ends first, as a profile ends with the first of its members."""
    return min(lives, key=lambda life: (life.end or date.max, life.status is LifeStatus.ACTIVE))
