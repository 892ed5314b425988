"""The model answers that a job has paid for, kept until the job has ended."""

import asyncio
from dataclasses import dataclass, field

import structlog

from app.domain.errors import ServiceError
from app.domain.work import NO_USAGE, WorkUsage
from app.services.concurrency import answer_codec
from app.services.jobs import stored
from app.services.jobs.journal import Journal
from app.services.model_stack.paid_answers import PaidAnswer

MOST = 2**20
"""Maximum size in bytes of a stored answer, since a cipher encrypts no more at once."""

log = structlog.get_logger()


@dataclass(slots=True)
class JobAnswers:
    """A `PaidAnswers` on the queue, beside the job's events."""

    journal: Journal
    usage: WorkUsage = NO_USAGE
    """Usage of the answers of earlier attempts that this attempt has reused."""
    _places: dict[str, list[int]] = field(default_factory=dict)
    """Positions of the answers of earlier attempts, by the key of their question."""
    _opened: bool = False
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, key: str) -> PaidAnswer | None:
        """Return an unused answer of an earlier attempt to the question ``key``, or None."""
        try:
            await self._open()
            places = self._places.get(key)
            if not places:
                return None
            _, data = stored.read_paid(await self.journal.payload(places.pop(0)))
            answer = await asyncio.to_thread(answer_codec.decoded, data)
        except (ServiceError, ValueError) as error:
            # The question is then asked once more.
            log.warning("a paid answer could not be read", reason=type(error).__name__)
            return None
        if not isinstance(answer, PaidAnswer):
            return None
        self.usage += answer.usage
        return answer

    async def keep(self, key: str, answer: PaidAnswer) -> None:
        """Store an answer for later attempts; a failure is logged and the job continues."""
        try:
            data = stored.paid(key, await asyncio.to_thread(answer_codec.encoded, answer))
            if len(data) > MOST:
                return
            await self._open()
            await self.journal.put(data)
        except (ServiceError, TypeError, ValueError, RecursionError) as error:
            log.warning("a paid answer could not be stored", reason=type(error).__name__)

    async def _open(self) -> None:
        async with self._opening:
            if not self._opened:
                async for item in self.journal.earlier():
                    key, _ = stored.read_paid(item.payload)
                    self._places.setdefault(key, []).append(item.position)
                self._opened = True


def answers_of(identity: str) -> str:
    """Return the id of the group that stores a job's paid answers."""
    return f"{identity}.answers"
