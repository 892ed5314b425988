"""The answers of the model that a job has paid for, kept until it has ended."""

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
"""Bytes of an answer that is kept: a cipher takes no more at once."""

log = structlog.get_logger()


@dataclass(slots=True)
class JobAnswers:
    """A `PaidAnswers` on the queue, beside the job's events."""

    journal: Journal
    usage: WorkUsage = NO_USAGE
    """What the answers took that earlier attempts asked for and this one has taken."""
    _places: dict[str, list[int]] = field(default_factory=dict)
    """Where answers of earlier attempts are, by the key of their question."""
    _opened: bool = False
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, key: str) -> PaidAnswer | None:
        """Return an answer of an earlier attempt, each once."""
        try:
            await self._open()
            places = self._places.get(key)
            if not places:
                return None
            _, data = stored.read_paid(await self.journal.payload(places.pop(0)))
            answer = await asyncio.to_thread(answer_codec.decoded, data)
        except (ServiceError, ValueError) as error:
            # Then it is asked for once more.
            log.warning("a paid answer is not read", reason=type(error).__name__)
            return None
        if not isinstance(answer, PaidAnswer):
            return None
        self.usage += answer.usage
        return answer

    async def keep(self, key: str, answer: PaidAnswer) -> None:
        """Keep an answer for later attempts, or log why not: the job goes on all the same."""
        try:
            data = stored.paid(key, await asyncio.to_thread(answer_codec.encoded, answer))
            if len(data) > MOST:
                return
            await self._open()
            await self.journal.put(data)
        except (ServiceError, TypeError, ValueError, RecursionError) as error:
            log.warning("a paid answer is not kept", reason=type(error).__name__)

    async def _open(self) -> None:
        async with self._opening:
            if not self._opened:
                async for item in self.journal.earlier():
                    key, _ = stored.read_paid(item.payload)
                    self._places.setdefault(key, []).append(item.position)
                self._opened = True


def answers_of(identity: str) -> str:
    """Return the id of the group that keeps a job's paid answers."""
    return f"{identity}.answers"
