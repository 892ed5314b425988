"""Runs jobs: calls the endpoint, stores its events, and retries transient errors later."""

import json
import time
from asyncio import TaskGroup
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from app.domain.errors import JobNotFoundError, ServiceError
from app.domain.job import JobAnswer
from app.domain.work import Finished, Leased, Postponed, WorkGroup, WorkKind
from app.services.batches.retry import again, patience
from app.services.jobs import stored
from app.services.jobs.journal import Journal
from app.services.jobs.paid import JobAnswers, answers_of
from app.services.jobs.service import Jobs, events_of
from app.services.work.endpoint import Endpoint, EndpointAnswer, EndpointRequest

PATIENCE = 24 * 3600.0
"""Seconds after a job's submission from which any error is final and becomes its answer."""
SWEEP = 30.0
"""Seconds between two scans of all open jobs for ended ones whose worker died before closing."""


@dataclass(slots=True)
class JobHandler:
    """A `WorkHandler` for jobs."""

    jobs: Jobs
    endpoint: Endpoint
    concurrency: int
    """Maximum concurrent jobs in one process."""
    seconds: float
    """Time limit of one attempt in seconds."""
    ended: Callable[[str], None] = lambda _: None
    """Called with each job's final status."""
    most_pages: int | None = None
    """Maximum document pages of a job; None for the limit of a plain request."""
    clock: Callable[[], float] = time.time
    _settled: list[tuple[str, str]] = field(default_factory=list)
    """Owners and ids of jobs that this process has ended but not closed yet."""
    _swept: float = 0
    kind: WorkKind = WorkKind.JOB
    interruptible: bool = True

    def room(self, running: int) -> int:
        """Return how many more jobs may begin."""
        return self.concurrency - running

    def gap(self) -> float:
        """Return 0, since jobs may begin together."""
        return 0

    def resting(self) -> Collection[str]:
        """Return no callers, since each job waits on its own."""
        return ()

    async def handle(self, work: Leased) -> Finished | Postponed:
        """Run one job."""
        request = stored.read_request(work.payload)
        expires_at = self.clock() + PATIENCE + self.jobs.expires
        queue = self.jobs.queue
        events = _Recorder(Journal(queue, work, events_of(work.group), expires_at))
        paid = JobAnswers(Journal(queue, work, answers_of(work.group), expires_at))
        answer = await self.endpoint.answer(
            EndpointRequest(
                id=request.request_id,
                path=request.path,
                body=request.body,
                caller=request.caller,
                seconds=self.seconds,
                most_pages=self.most_pages,
                headers=request.headers,
                patience=patience,
                on_event=events.keep,
                paid=paid,
            )
        )
        answer = replace(answer, usage=answer.usage + paid.usage)
        wait = self._wait(work, answer.error)
        return self._end(work, answer) if wait is None else wait

    def _wait(self, work: Leased, error: ServiceError | None) -> Postponed | None:
        """Return the postponement after ``error``, or None if the answer is final."""
        if error is None or self.clock() - work.created_at > PATIENCE:
            return None
        later = again(error, work.attempts)
        return None if later is None else Postponed(work, later.seconds, later.counted)

    def _end(self, work: Leased, answer: EndpointAnswer) -> Finished:
        self._settled.append((work.owner, work.group))
        job_answer = JobAnswer(answer.status, answer.media_type, answer.body)
        kept = stored.answer(job_answer, self.clock())
        return Finished(work, answer.status < 400, kept, answer.usage)

    def exhausted(self, work: Leased) -> Finished:
        """Return a failed result for a job that used up its attempts."""
        self._settled.append((work.owner, work.group))
        job_answer = JobAnswer(500, "application/problem+json", _EXHAUSTED)
        return Finished(work, succeeded=False, result=stored.answer(job_answer, self.clock()))

    async def tend(self, steps: TaskGroup) -> None:  # noqa: ARG002 - the protocol's
        """Close the jobs that have ended: announce them by webhook and start their expiry."""
        for settled in tuple(self._settled):
            group = await self.jobs.queue.group(*settled)
            # The job stays open until the worker has stored its answer.
            if group is None or not group.active or await self._close(group):
                self._settled.remove(settled)
        now = self.clock()
        if not 0 <= now - self._swept < SWEEP:
            self._swept = now
            for group in await self.jobs.queue.active(WorkKind.JOB):
                await self._close(group)
            await self.jobs.queue.expire()

    async def _close(self, group: WorkGroup) -> bool:
        """Close a job if it has ended, and return whether it had."""
        try:
            job = await self.jobs.get(group.owner, group.id)
        except JobNotFoundError:
            # A process died while it was removing the job.
            await self.jobs.forget(group.owner, group.id)
            return True
        if not job.status.ended:
            return False
        if job.webhook is not None:
            kind = f"job.{job.status}"
            await self.jobs.webhooks.announce(group.owner, job.webhook, kind, group.id)
        ended_at = job.ended_at or self.clock()
        about = replace(stored.read_facts(group.body), ended_at=ended_at)
        closed = await self.jobs.queue.change(
            replace(
                group,
                status=job.status,
                body=stored.facts(about),
                active=False,
                expires_at=ended_at + self.jobs.expires,
            )
        )
        if closed:
            await self.jobs.queue.forget(group.owner, answers_of(group.id))
            self.ended(job.status)
        return True


_EXHAUSTED = (
    b'{"type":"urn:llama-vision:error:internal_error","title":"Internal error","status":500,'
    b'"detail":"the job was begun again and again, and never ended","code":"internal_error",'
    b'"retryable":false}'
)


@dataclass(slots=True)
class _Recorder:
    """Stores a job's events; a page's event is not repeated when the job is attempted again."""

    journal: Journal
    _pages: dict[int, str | None] = field(default_factory=dict)
    """The pages reported so far, each with the fault last reported, or None if it succeeded."""
    _opened: bool = False

    async def keep(self, name: str, data: bytes) -> None:
        """Store one event, unless an earlier attempt stored the same."""
        if not self._opened:
            await self._open()
        fields = json.loads(data)
        page, fault = fields["page"], fields["fault"]
        if page in self._pages and self._pages[page] in (None, fault):
            return
        self._pages[page] = fault
        if fields["done"] != len(self._pages):
            # Pages reported by earlier attempts count as done too.
            fields["done"] = len(self._pages)
            data = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        await self.journal.put(stored.event(name, data))

    async def _open(self) -> None:
        async for item in self.journal.earlier():
            fields = json.loads(stored.read_event(item.position, item.payload).data)
            self._pages[fields["page"]] = fields["fault"]
        self._opened = True
