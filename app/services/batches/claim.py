"""A process's exclusive hold on a batch during a long step."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

import structlog

from app.domain.batch import ENDED, Batch
from app.domain.errors import ServiceError
from app.domain.ports import WorkQueue
from app.services.batches import record

CLAIM = 15.0
"""Seconds for which a claim is valid; the process renews it after each third of that time."""

log = structlog.get_logger()


class LostError(Exception):
    """Another process or caller changed the batch: the claim expired or the batch was cancelled."""


@dataclass(slots=True)
class Claim:
    """A claim on a batch, released at the end of its block; it expires if the process dies."""

    queue: WorkQueue
    name: str
    """The name of the process."""
    batch: Batch
    clock: Callable[[], float] = time.time
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _lost: bool = False
    _renewing: "asyncio.Task[None] | None" = None

    async def take(self) -> bool:
        """Take the batch, unless another process has it; raise LostError if one just took it."""
        now, batch = self.clock(), self.batch
        another = batch.claimed_by not in ("", self.name)
        # A claim that ends later than any can was taken before the clock was set back.
        if another and now < batch.claimed_until <= now + 2 * CLAIM:
            return False
        await self.change(replace(batch, claimed_by=self.name))
        return True

    async def __aenter__(self) -> Self:
        """Start to renew the claim periodically."""
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, cls: type[BaseException] | None, *_: object) -> None:
        """Release the claim if it is still held, so that another process can continue at once."""
        if self._renewing is not None:
            async with self._changing:
                self._renewing.cancel()
        if cls is not LostError and self._is_held():
            await self.change(replace(self.batch, claimed_by=""))

    def _is_held(self) -> bool:
        return bool(self.batch.claimed_by) and self.batch.status not in ENDED

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(CLAIM / 3)
            try:
                if self._is_held():
                    await self.change(self.batch)
            except LostError:
                return
            except ServiceError as error:
                log.warning("a claim can't be renewed", batch=self.batch.id, code=error.code)

    async def check(self) -> None:
        """Raise LostError if the claim was lost."""
        if self._lost:
            raise LostError

    async def change(self, batch: Batch) -> None:
        """Store ``batch`` and extend the claim, or raise LostError."""
        until = self.clock() + CLAIM if batch.claimed_by else 0
        async with self._changing:
            # A renewal in between changed only the version and the claim's end.
            changed = replace(batch, version=self.batch.version, claimed_until=until)
            self._lost = self._lost or not await self.queue.change(record.group(changed))
            if self._lost:
                raise LostError
            self.batch = replace(changed, version=changed.version + 1)
