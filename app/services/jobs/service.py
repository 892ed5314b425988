"""The use cases of jobs: submit, get, list, wait, follow events, remove."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from uuid import uuid4

import orjson

from app.domain.errors import JobNotFoundError, WorkQueueError
from app.domain.job import Job, JobEvent, JobRequest, JobStatus
from app.domain.ports import WorkQueue
from app.domain.work import GroupCounts, NewWork, WorkGroup, WorkKind, WorkState
from app.services.jobs import stored
from app.services.jobs.paid import answers_of
from app.services.jobs.stored import Facts
from app.services.webhooks.service import Webhooks
from app.services.work.paging import check_after

LOOK = 0.25
"""Seconds between two polls of a job that a caller waits for; any process may run the job."""
_PAGE = 100
_STATUSES = {
    WorkState.LEASED: JobStatus.IN_PROGRESS,
    WorkState.SUCCEEDED: JobStatus.COMPLETED,
    WorkState.FAILED: JobStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of all callers; no caller sees another's."""

    queue: WorkQueue
    webhooks: Webhooks
    expires: float
    """Seconds for which an answer is kept after the job's end."""
    wake: Callable[[], None] = lambda: None
    """Makes this process's worker look for work."""
    clock: Callable[[], float] = time.time

    async def submit(self, request: JobRequest) -> Job:
        """Queue a request and return its job, or raise a ServiceError.

        A request repeated with its Idempotency-Key returns the existing job, unless that failed.
        """
        self.webhooks.check(request.webhook)
        identity, now = f"job_{uuid4().hex}", self.clock()
        if "idempotency-key" in request.headers:
            identity = _identity(request)
            with suppress(JobNotFoundError):
                known = await self.get(request.caller.id, identity)
                if known.status is not JobStatus.FAILED:
                    return known
                await self.remove(request.caller.id, identity)
        about = stored.facts(Facts(request.path, request.webhook))
        group = WorkGroup(identity, request.caller.id, WorkKind.JOB, "open", now, about)
        try:
            await self.queue.open(group, [NewWork(0, stored.request(request))])
        except WorkQueueError:
            # The same request may have been submitted at the same moment.
            with suppress(JobNotFoundError):
                return await self.get(request.caller.id, identity)
            raise
        self.wake()
        return Job(identity, request.path, JobStatus.QUEUED, now, webhook=request.webhook)

    async def get(self, owner: str, identity: str) -> Job:
        """Return the caller's job, or raise JobNotFoundError."""
        group = await self._group(owner, identity)
        counts = await self.queue.counts(identity)
        if _is_removed(counts):
            raise _missing(identity)
        return await self._job(group, counts)

    async def list(self, owner: str, limit: int, after: str | None = None) -> tuple[Job, ...]:
        """Return the caller's jobs without their answers, newest first.

        Raises InvalidParameterError if there is no job ``after``.
        """
        await check_after(self.queue, owner, after)
        groups = await self.queue.groups(owner, WorkKind.JOB, limit, after)
        counted = [(group, await self.queue.counts(group.id)) for group in groups]
        return tuple([_outline(*pair) for pair in counted if not _is_removed(pair[1])])

    async def wait(self, owner: str, identity: str, seconds: float) -> Job:
        """Return the job once it has ended, or its current state after ``seconds``."""
        group = await self._group(owner, identity)
        until = asyncio.get_running_loop().time() + seconds
        while True:
            counts = await self.queue.counts(identity)
            left = until - asyncio.get_running_loop().time()
            if not counts.open or left <= 0:
                break
            await asyncio.sleep(min(LOOK, left))
        if _is_removed(counts):
            raise _missing(identity)
        return await self._job(group, counts)

    async def events(self, owner: str, identity: str, after: int) -> AsyncIterator[JobEvent]:
        """Yield the job's events after number ``after`` as they happen, until the job has ended."""
        name = events_of(identity)
        while True:
            ended = not (await self.queue.counts(identity)).open
            while results := await self.queue.results(owner, name, after - 1, _PAGE):
                for item in results:
                    event = stored.read_event(item.position, item.payload)
                    after = event.number
                    yield event
            if ended:
                return
            await asyncio.sleep(LOOK)

    async def remove(self, owner: str, identity: str) -> None:
        """Cancel the job if it still runs, and delete it with its answer."""
        await self._group(owner, identity)
        await self.queue.cancel(owner, identity, leased=True)
        await self.forget(owner, identity)

    async def forget(self, owner: str, identity: str) -> None:
        """Delete an ended or cancelled job with its events and paid answers."""
        await self.queue.forget(owner, events_of(identity))
        await self.queue.forget(owner, answers_of(identity))
        await self.queue.forget(owner, identity)

    async def _group(self, owner: str, identity: str) -> WorkGroup:
        group = await self.queue.group(owner, identity)
        if group is None or group.kind is not WorkKind.JOB:
            raise _missing(identity)
        return group

    async def _job(self, group: WorkGroup, counts: GroupCounts) -> Job:
        outline = _outline(group, counts)
        if not outline.status.ended:
            return replace(outline, progress=await self._last_event(group))
        results = await self.queue.results(group.owner, group.id, -1, 1)
        if not results:
            # It was deleted since it was counted.
            raise _missing(group.id)
        (item,) = results
        if item.result is None:
            return outline
        answer, ended_at = stored.read_answer(item.result)
        expires_at = group.expires_at or ended_at + self.expires
        return replace(outline, answer=answer, ended_at=ended_at, expires_at=expires_at)

    async def _last_event(self, group: WorkGroup) -> JobEvent | None:
        name = events_of(group.id)
        total = (await self.queue.counts(name)).total
        if not total:
            return None
        results = await self.queue.results(group.owner, name, total - 2, 1)
        return stored.read_event(results[0].position, results[0].payload) if results else None


def _identity(request: JobRequest) -> str:
    """Return the job id of a request with an Idempotency-Key, the same when it is repeated."""
    head = orjson.dumps(
        [request.caller.id, request.path, request.webhook, sorted(request.headers.items())]
    )
    return f"job_{sha256(head + request.body).hexdigest()[:32]}"


def _is_removed(counts: GroupCounts) -> bool:
    """Return whether the job is being removed: its item is cancelled first, then deleted."""
    return not counts.total or counts.in_state(WorkState.CANCELLED) > 0


def _missing(identity: str) -> JobNotFoundError:
    return JobNotFoundError(f"there is no job {identity[:100]}, or it has expired")


def events_of(identity: str) -> str:
    """Return the id of the group that stores a job's events."""
    return f"{identity}.events"


def _outline(group: WorkGroup, counts: GroupCounts) -> Job:
    about = stored.read_facts(group.body)
    states = [state for state, count in counts.states.items() if count]
    status = _STATUSES.get(states[0], JobStatus.QUEUED) if states else JobStatus.QUEUED
    return Job(
        group.id,
        about.path,
        status,
        group.created_at,
        about.ended_at,
        group.expires_at,
        usage=counts.usage,
        webhook=about.webhook,
    )
