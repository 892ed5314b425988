"""Leases work from the queue, runs it, and stores the results.

Each process has one worker. It leases quick items a little ahead, so that one transaction serves
many of them, and stores all results that are ready in one transaction.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from os import urandom

import structlog

from app.domain.errors import ServiceError, WorkQueueError
from app.domain.ports import WorkQueue
from app.domain.work import LEASE, Finished, Leased, Postponed
from app.services.concurrency.deadline import Drain
from app.services.work.handler import WorkHandler

MOST_ATTEMPTS = 30
"""Leases without a result, including lost ones, after which an item is given up."""
POLL = 1.0
"""Seconds between two polls for work that another process queued."""
WATCH = 0.5
"""Seconds between two checks whether running items were cancelled."""
AHEAD = 0.25
"""Seconds within which items leased ahead should begin; an idle replica could take later ones."""
MOST_AHEAD = 4
"""Items leased ahead, as a multiple of those that run together: one query serves many quick ones,
and there is always one to begin while the next query runs."""
_TOGETHER = 0.05
"""Seconds for which a look at the groups waits, so that one look serves many results."""
_LAST_LEASE = 5.0
"""Seconds for which the end of the work waits for items that are being leased."""
_AGAIN = (0.1, 5.0)
"""First and longest wait in seconds before results are stored again after a failure."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Kind:
    """The items of one kind in this process."""

    handler: WorkHandler
    ready: deque[Leased] = field(default_factory=deque)
    """Items leased but not begun."""
    running: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)
    begun: dict[int, Leased] = field(default_factory=dict)
    """The ``running`` items, by the same ids."""
    tending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set if the handler's groups need a look before the next poll."""
    wanted: int = 0
    """Number of further items to lease."""
    short: asyncio.Event = field(default_factory=asyncio.Event)
    """Set if more items are ``wanted``."""
    paused: bool = False
    """Whether the next item must wait until the handler's gap has passed."""
    looks_at: float = 0
    """Event loop time before which the queue is not asked again, because it had no more items."""
    seconds: float = inf
    """Smoothed run time of an item in seconds; infinite until one has finished."""

    def took(self, seconds: float) -> None:
        """Add an item's run time to the average."""
        known = self.seconds < inf
        self.seconds = self.seconds + (seconds - self.seconds) / 16 if known else seconds

    def look(self, now: float) -> None:
        """Request more items once fewer than half of the wanted stock is ready."""
        room = self.handler.room(len(self.running))
        together = room + len(self.running)
        most = room + int(together * AHEAD / max(self.seconds, AHEAD / MOST_AHEAD))
        if 2 * len(self.ready) < most and now >= self.looks_at:
            self.wanted = most - len(self.ready)
            self.short.set()

    def may_have_ended(self, group: str) -> bool:
        """Return whether this process has no ready or running item of ``group``."""
        own = chain(self.ready, self.begun.values())
        return not any(work.group == group for work in own)


@dataclass(slots=True)
class Worker:
    """Runs items of every kind that it has a handler for."""

    queue: WorkQueue
    drain: Drain
    name: str = field(default_factory=lambda: f"worker-{urandom(8).hex()}")
    poll: float = POLL
    lease_seconds: float = LEASE
    _kinds: list[_Kind] = field(default_factory=list)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: list[Finished | Postponed] = field(default_factory=list)
    _to_keep: asyncio.Event = field(default_factory=asyncio.Event)
    _failing: bool = False

    def wake(self) -> None:
        """Look for work now, because some was queued."""
        self._look()
        for kind in self._kinds:
            kind.tending.set()

    def _look(self) -> None:
        for kind in self._kinds:
            kind.looks_at = 0
        self._woken.set()

    @asynccontextmanager
    async def running(self, handlers: Sequence[WorkHandler]) -> AsyncIterator[None]:
        """Run work inside the block; at its end, store results and return unfinished items."""
        self._kinds = [_Kind(handler) for handler in handlers]
        tasks = [
            asyncio.create_task(loop)
            for loop in (
                self._working(),
                self._keeping(),
                self._renewing(),
                self._watching(),
                *(self._leasing(kind) for kind in self._kinds),
                *(self._seeing_to(kind) for kind in self._kinds),
            )
        ]
        try:
            yield
        finally:
            await _stopped(tasks)
            await self._leave()

    async def _working(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            if not self.drain.draining and not self._failing:
                for kind in self._kinds:
                    free = kind.handler.room(len(kind.running)) > 0
                    self._begin(kind)
                    if free:
                        kind.look(loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.poll):
                    await self._woken.wait()

    async def _leasing(self, kind: _Kind) -> None:
        """Lease the wanted items, while ready ones begin."""
        while True:
            await kind.short.wait()
            wanted = kind.wanted
            # Items that end must not trigger another lease while the queue had no more.
            kind.looks_at = asyncio.get_running_loop().time() + self.poll
            try:
                leased = await self._lease(kind, wanted)
            except ServiceError as error:
                log.warning("no work can be leased", code=error.code, reason=error.detail)
            else:
                kind.ready += leased
                if len(leased) == wanted:
                    kind.looks_at = 0
            kind.short.clear()
            self._woken.set()

    async def _lease(self, kind: _Kind, wanted: int) -> Sequence[Leased]:
        """Return the leased items; where this is cancelled meanwhile, they are ready."""
        leasing = asyncio.ensure_future(
            self.queue.lease(self.name, (kind.handler.kind,), wanted, kind.handler.resting())
        )
        try:
            return await asyncio.shield(leasing)
        except asyncio.CancelledError:
            # Its transaction may be committed: items that nobody returns wait for the lease's end.
            with contextlib.suppress(ServiceError, TimeoutError):
                async with asyncio.timeout(_LAST_LEASE):
                    kind.ready += await leasing
            raise

    def _begin(self, kind: _Kind) -> None:
        room = kind.handler.room(len(kind.running))
        resting = kind.handler.resting()
        while kind.ready and room > 0 and not kind.paused:
            work = kind.ready.popleft()
            if work.owner in resting:
                self._end(Postponed(work, 0, counted=False))
                continue
            kind.begun[work.id] = work
            kind.running[work.id] = asyncio.create_task(self._do(kind, work))
            room -= 1
            if gap := kind.handler.gap():
                kind.paused = True
                asyncio.get_running_loop().call_later(gap, self._go_on, kind)

    def _go_on(self, kind: _Kind) -> None:
        kind.paused = False
        self._woken.set()

    async def _do(self, kind: _Kind, work: Leased) -> None:
        loop = asyncio.get_running_loop()
        try:
            if work.attempts >= MOST_ATTEMPTS:
                self._end(kind.handler.exhausted(work))
                return
            began = loop.time()
            ended = await kind.handler.handle(work)
            if isinstance(ended, Finished):
                kind.took(loop.time() - began)
            self._end(ended)
        except Exception:
            log.exception("work failed", kind=work.kind, group=work.group, position=work.position)
            self._end(Postponed(work, min(2.0**work.attempts, 60)))
        except asyncio.CancelledError:
            self._end(Postponed(work, 0, counted=False))
        finally:
            kind.running.pop(work.id, None)
            kind.begun.pop(work.id, None)
            self._woken.set()

    def _end(self, ended: Finished | Postponed) -> None:
        self._ended.append(ended)
        self._to_keep.set()

    async def _keeping(self) -> None:
        """Store results as they come; while the queue can't be written, they wait in memory."""
        wait = _AGAIN[0]
        while True:
            await self._to_keep.wait()
            try:
                await self._keep()
            except ServiceError as error:
                if not self._failing:
                    log.error("results can't be kept yet", code=error.code, reason=error.detail)
                # No new work begins meanwhile, so the running items bound the results in memory.
                self._failing = True
                await asyncio.sleep(wait)
                wait = min(2 * wait, _AGAIN[1])
            else:
                wait = _AGAIN[0]
                if self._failing:
                    self._failing = False
                    self._woken.set()

    async def _keep(self) -> None:
        self._to_keep.clear()
        ended = tuple(self._ended)
        finished = [item for item in ended if isinstance(item, Finished)]
        postponed = [item for item in ended if isinstance(item, Postponed)]
        try:
            if finished:
                await self.queue.finish(finished)
            if postponed:
                await self.queue.postpone(postponed)
                self._look()
        except BaseException:
            self._to_keep.set()
            raise
        del self._ended[: len(ended)]
        groups = {(item.work.kind, item.work.group) for item in finished}
        for kind in self._kinds:
            name = kind.handler.kind
            if any(of == name and kind.may_have_ended(group) for of, group in groups):
                kind.tending.set()

    async def _renewing(self) -> None:
        while True:
            await asyncio.sleep(self.lease_seconds / 3)
            if not any(kind.running or kind.ready for kind in self._kinds) and not self._ended:
                continue
            try:
                await self.queue.renew(self.name)
            except ServiceError as error:
                log.warning("leases can't be renewed", code=error.code, reason=error.detail)

    async def _watching(self) -> None:
        """Stop interruptible items whose leases were lost or cancelled."""
        while True:
            await asyncio.sleep(WATCH)
            running = {
                id_: task
                for kind in self._kinds
                if kind.handler.interruptible
                for id_, task in kind.running.items()
            }
            if not running:
                continue
            try:
                held = await self.queue.held(self.name)
            except ServiceError:
                continue
            for id_, task in running.items():
                if id_ not in held:
                    task.cancel()

    async def _seeing_to(self, kind: _Kind) -> None:
        async with asyncio.TaskGroup() as steps:
            while True:
                kind.tending.clear()
                await self._see_to(kind.handler, steps)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.poll):
                        await kind.tending.wait()
                # Many results come close together, and one look serves them all.
                await asyncio.sleep(min(_TOGETHER, self.poll))

    async def _see_to(self, handler: WorkHandler, steps: asyncio.TaskGroup) -> None:
        try:
            await handler.tend(steps)
        except ServiceError as error:
            log.warning("groups wait", kind=handler.kind, code=error.code, reason=error.detail)
        except Exception:
            log.exception("groups wait", kind=handler.kind)

    async def _leave(self) -> None:
        """Stop running items, store finished results and return the others to the queue."""
        await _stopped([task for kind in self._kinds for task in kind.running.values()])
        for kind in self._kinds:
            for work in kind.ready:
                self._end(Postponed(work, 0, counted=False))
            kind.ready.clear()
        with contextlib.suppress(WorkQueueError):
            await self._keep()


async def _stopped(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
