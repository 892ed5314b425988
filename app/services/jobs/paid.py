"""The answers of the model that a job has paid for, kept until it has ended."""

import asyncio
from dataclasses import dataclass, field

import structlog

from app.domain.errors import ServiceError
from app.domain.ports import WorkQueue
from app.domain.work import NO_USAGE, Leased, NewWork, WorkGroup, WorkKind, WorkUsage
from app.services.concurrency import answer_codec
from app.services.jobs import stored
from app.services.model_stack.paid_answers import PaidAnswer

MOST = 2**20
"""Bytes of an answer that is kept: a cipher takes no more at once."""
_PAGE = 100
"""Answers that are looked through at a time."""

log = structlog.get_logger()


@dataclass(slots=True)
class JobAnswers:
    """A `PaidAnswers` on the queue, beside the job's events."""

    queue: WorkQueue
    work: Leased
    expires_at: float
    usage: WorkUsage = NO_USAGE
    """What the answers took that earlier attempts asked for and this one has taken."""
    _places: dict[str, list[int]] = field(default_factory=dict)
    """Where answers of earlier attempts are, by the key of their question."""
    _group: WorkGroup | None = None
    _count: int = 0
    """Answers kept, by any attempt."""
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, key: str) -> PaidAnswer | None:
        """Return an answer of an earlier attempt, each once."""
        try:
            group = await self._opened()
            places = self._places.get(key)
            if not places:
                return None
            place = places.pop(0)
            (item,) = await self.queue.results(group.owner, group.id, place - 1, 1)
            _, data = stored.read_paid(item.payload)
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
            group = await self._opened()
            item = NewWork(self._count, data)
            self._count += 1
            await self.queue.put(group, [item])
        except (ServiceError, TypeError, ValueError, RecursionError) as error:
            log.warning("a paid answer is not kept", reason=type(error).__name__)

    async def _opened(self) -> WorkGroup:
        async with self._opening:
            if self._group is None:
                self._group = await self._found()
            return self._group

    async def _found(self) -> WorkGroup:
        name = answers_of(self.work.group)
        group = await self.queue.group(self.work.owner, name)
        if group is not None:
            await self._look_through(group)
            return group
        group = WorkGroup(
            name,
            self.work.owner,
            WorkKind.JOB_EVENT,
            "kept",
            self.work.created_at,
            active=False,
            expires_at=self.expires_at,
        )
        await self.queue.open(group)
        return group

    async def _look_through(self, group: WorkGroup) -> None:
        while page := await self.queue.results(group.owner, group.id, self._count - 1, _PAGE):
            for item in page:
                key, _ = stored.read_paid(item.payload)
                self._places.setdefault(key, []).append(item.position)
            self._count = page[-1].position + 1


def answers_of(identity: str) -> str:
    """Return the id of the group that keeps a job's paid answers."""
    return f"{identity}.answers"
