"""Bounds the concurrent calls of one target, with a bounded and fair queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.ports import VisionModel
from app.services.concurrency.background import in_background
from app.services.concurrency.fair_queue import FairQueue
from app.telemetry import stage


@dataclass(slots=True)
class FairSlots:
    """A number of slots for calls; callers take turns, however many calls each has waiting."""

    capacity: int
    max_waiting: int
    """Maximum waiters of all callers together."""
    max_wait: float
    """Maximum seconds in the queue."""
    background: int = 0
    """Slots in use by background work."""
    _taken: int = 0
    _line: FairQueue = field(init=False)

    def __post_init__(self) -> None:
        self._line = FairQueue(self.release)

    @property
    def taken(self) -> int:
        """Slots in use."""
        return self._taken

    def taking(self, caller: str) -> "HeldSlot":
        """Hold a slot while the block runs, or raise OverloadedError."""
        return HeldSlot(self, caller)

    @property
    def waiting(self) -> int:
        """Number of waiters."""
        return self._line.length

    async def take(self, caller: str) -> None:
        """Take a slot, or raise OverloadedError if the queue is full or does not move."""
        if self._taken < self.capacity and not self._line.length:
            self._taken += 1
        else:
            with stage("wait"):
                await self._wait(caller)

    async def _wait(self, caller: str) -> None:
        if self.waiting >= self.max_waiting and not self._line.evict(caller, self._overloaded()):
            raise self._overloaded()
        try:
            await self._line.wait(caller, asyncio.timeout(self.max_wait))
        except TimeoutError as error:
            raise self._overloaded() from error

    def release(self) -> None:
        """Hand the slot to the next caller in turn, or give it back."""
        if not (self._line.length and self._line.admit()):
            self._taken -= 1

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(
            "Too many requests are waiting for the model.", retry_after=max(1, self.max_wait / 2)
        )


class HeldSlot:
    """Holds a slot; the event loop would have to register a generator each time."""

    __slots__ = ("_background", "_caller", "_slots")

    def __init__(self, slots: FairSlots, caller: str) -> None:
        self._slots, self._caller = slots, caller

    async def __aenter__(self) -> None:
        await self._slots.take(self._caller)
        self._background = in_background()
        self._slots.background += self._background

    async def __aexit__(self, *_: object) -> None:
        self._slots.background -= self._background
        self._slots.release()


@dataclass(frozen=True, slots=True)
class ConcurrencyLimitModel:
    """Calls the model when it is the caller's turn. A stream holds its slot throughout."""

    inner: VisionModel
    slots: FairSlots

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request``, or raise OverloadedError."""
        async with self.slots.taking(request.call_context.caller):
            return await self.inner.generate(request)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream, or raise OverloadedError."""
        async with (
            self.slots.taking(request.call_context.caller),
            self.inner.stream(request) as parts,
        ):
            yield parts
