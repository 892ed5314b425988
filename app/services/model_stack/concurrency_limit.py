"""Bounded concurrency to one target, with a bounded and fair line before it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.ports import VisionModel
from app.telemetry import stage


@dataclass(slots=True)
class FairSlots:
    """So many at a time; the callers who wait take turns, whoever has how many in line."""

    capacity: int
    max_waiting: int
    """In line, all callers together."""
    max_wait: float
    """Seconds in line."""
    _taken: int = 0
    _lines: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict)
    """Each caller's waiters; the first caller is the next to be served."""

    @property
    def taken(self) -> int:
        """Slots in use."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Waiters in line."""
        return sum(map(len, self._lines.values()))

    async def take(self, caller: str) -> None:
        """Take a slot, or raise OverloadedError where the line is full or doesn't move."""
        if self._taken < self.capacity and not self._lines:
            self._taken += 1
        else:
            with stage("wait"):
                await self._wait(caller)

    async def _wait(self, caller: str) -> None:
        if self.waiting >= self.max_waiting:
            self._make_room(caller)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        try:
            async with asyncio.timeout(self.max_wait):
                await turn
        except BaseException as error:
            self._leave(caller, turn)
            if isinstance(error, TimeoutError):
                raise self._overloaded() from error
            raise

    def _make_room(self, caller: str) -> None:
        """Send the newest of the longest line away, if that is longer than ``caller``'s own."""
        longest = max(self._lines, key=lambda name: len(self._lines[name]), default=caller)
        if len(self._lines.get(longest, ())) <= len(self._lines.get(caller, ())) + 1:
            raise self._overloaded()
        turn = self._lines[longest].pop()
        if not turn.done():
            turn.set_exception(self._overloaded())

    def _leave(self, caller: str, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            # The slot was handed over in the same moment.
            self.release()
            return
        line = self._lines.get(caller)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[caller]

    def release(self) -> None:
        """Hand the slot to the next caller in turn, or give it back."""
        while self._lines:
            caller = next(iter(self._lines))
            line = self._lines.pop(caller)
            turn = line.popleft() if line else None
            if line:
                self._lines[caller] = line  # behind the others
            if turn is not None and not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(
            "Too many requests are waiting for the model.", retry_after=max(1, self.max_wait / 2)
        )


@dataclass(frozen=True, slots=True)
class LimitedModel:
    """Asks when it is the caller's turn. A stream holds its slot throughout."""

    inner: VisionModel
    slots: FairSlots

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request``, or raise OverloadedError."""
        await self.slots.take(request.terms.caller)
        try:
            return await self.inner.generate(request)
        finally:
            self.slots.release()

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream, or raise OverloadedError."""
        await self.slots.take(request.terms.caller)
        try:
            async with self.inner.stream(request) as parts:
                yield parts
        finally:
            self.slots.release()
