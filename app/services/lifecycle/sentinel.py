"""Reads when each target's model ends, at the start and daily, and warns in time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import structlog

from app.domain.generation import Target
from app.domain.image import AnswerWarning
from app.domain.lifecycle import Life, LifeStatus
from app.domain.ports import Note, unnoted
from app.telemetry.metrics import DAYS_LEFT, Metrics

log = structlog.get_logger()

CODE = "model_lifecycle"
"""Code of the warning that answers carry."""
CALLERS = 10_000
"""Maximum callers that are remembered as warned today."""


def today() -> date:
    """Return the day in UTC, by which AWS retires models."""
    return datetime.now(UTC).date()


@dataclass(slots=True)
class LifecycleSentinel:
    """Keeps the lifecycle of each target's model."""

    asked: Mapping[Target, Callable[[], Awaitable[Life]]]
    metrics: Metrics
    interval: float = 86400
    """Seconds between two surveys."""
    today: Callable[[], date] = today
    lives: dict[Target, Life] = field(default_factory=dict)
    reviews: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """Called after each survey."""
    note: Note = unnoted
    """Called when another model begins to serve."""
    _logged: dict[Target, object] = field(default_factory=dict)
    _told: OrderedDict[tuple[Target, str], date] = field(default_factory=OrderedDict)

    async def survey(self) -> None:
        """Read the lifecycle of every target, concurrently."""
        lives = await asyncio.gather(*(ask() for ask in self.asked.values()))
        for target, life in zip(self.asked, lives, strict=True):
            self._note(target, life)
        for review in self.reviews:
            await review()

    def _note(self, target: Target, life: Life) -> None:
        before = self.lives.get(target)
        if life.status is LifeStatus.UNKNOWN and before is not None:
            # An earlier answer of AWS is kept if AWS does not answer now.
            life = before
        self.lives[target] = life
        left = life.days_left(self.today())
        if left is not None:
            self.metrics.set(DAYS_LEFT, left, target=str(target))
        notice = life.notice(target.model_id, self.today())
        step = life.stage(self.today()), life.threshold(self.today())
        if notice is not None and self._logged.get(target) != step:
            log.warning(
                "model will end", target=str(target), notice=notice, end=str(life.end), left=left
            )
        self._logged[target] = step

    def ended(self, target: Target) -> bool:
        """Return whether the target's model has ended, by AWS's dates and today's."""
        life = self.lives.get(target)
        return life is not None and life.told and life.stage(self.today()) is LifeStatus.ENDED

    def notices(self) -> tuple[str, ...]:
        """Return the notices about the targets for an operator, in order."""
        sentences = (self._notice(target) for target in self.lives)
        return tuple(notice for notice in sentences if notice is not None)

    def _notice(self, target: Target) -> str | None:
        life = self.lives.get(target)
        return None if life is None else life.notice(target.model_id, self.today())

    def silent(self, target: Target, caller: str) -> bool:
        """Return whether ``caller`` has been warned of the target today, or needs no warning."""
        return self._told.get((target, caller)) == self.today() or self._notice(target) is None

    def warnings(self, target: Target, caller: str) -> tuple[AnswerWarning, ...]:
        """Return the warnings about the target for ``caller``, once a day."""
        notice, day = self._notice(target), self.today()
        if notice is None or self._told.get((target, caller)) == day:
            return ()
        self._told[target, caller] = day
        self._told.move_to_end((target, caller))
        if len(self._told) > CALLERS:
            self._told.popitem(last=False)
        return (AnswerWarning(CODE, notice),)

    async def watch(self) -> None:
        """Survey now, and then periodically until cancelled."""
        while True:
            try:
                await self.survey()
            except Exception:
                # One unexpected answer must not end the surveys.
                log.exception("lifecycle not surveyed")
            await asyncio.sleep(self.interval)
