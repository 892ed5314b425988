"""Admits a bounded number of requests, one per turn of the event loop, callers in turn."""

import asyncio
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError
from app.services.concurrency.deadline import Wait
from app.services.concurrency.fair_queue import FairQueue

_SMOOTHING = 0.02
# A single long turn of the loop, such as a thousand new connections, must not count fully.
_LONGEST = 0.05


@dataclass(slots=True)
class AdmissionQueue:
    """Admits requests as fast as they can be served, and refuses those that would wait too long.

    Beginning a request takes a millisecond of the event loop. A hundred at once would delay
    everyone by a tenth of a second, including refusals and health checks, so one request is
    admitted per turn of the loop. A waiting request costs next to nothing: its body is unread.
    """

    capacity: int
    """Maximum requests that run or wait together, within a factor of two."""
    retry_after: float
    """Seconds after which refused clients may try again."""
    patience: float = 3
    """Maximum expected seconds in the queue; requests that would wait longer are refused."""
    _callers: dict[str, int] = field(default_factory=dict)
    """Requests of each caller, running and waiting."""
    _total: int = 0
    _line: FairQueue = field(default_factory=lambda: FairQueue(_nothing))
    _pace: float = 0.001
    """Smoothed seconds between two admissions."""
    _last: float = 0
    _next: asyncio.Handle | None = None

    @property
    def total(self) -> int:
        """Requests running and waiting."""
        return self._total

    @property
    def has_room(self) -> bool:
        """Whether a request of any caller would be admitted."""
        return self._total < self.capacity and self._line.length * self._pace < self.patience

    async def enter(self, caller: str, within: Wait) -> None:
        """Return when it is the request's turn, or raise OverloadedError at once.

        Raises what ``within`` raises, too, which is entered only where others are before.
        """
        if not self.admits(caller):
            raise self.refusal()
        self._callers[caller] = self._callers.get(caller, 0) + 1
        self._total += 1
        try:
            await self._turn(caller, within)
        except BaseException:
            self.leave(caller)
            raise

    def refusal(self) -> OverloadedError:
        """Return the error for refused requests."""
        return OverloadedError(
            "This service has as many requests in progress as it can serve.",
            retry_after=self.retry_after,
        )

    def admits(self, caller: str) -> bool:
        """Return whether one more request of ``caller`` would be admitted."""
        if self.has_room:
            return True
        # The queue is full, but a caller with less than its share is admitted all the same.
        callers = len(self._callers) + (caller not in self._callers)
        share = max(1, min(self.capacity, self._total) // callers)
        return self._callers.get(caller, 0) < share and self._total < 2 * self.capacity

    def leave(self, caller: str) -> None:
        """End an admitted request."""
        self._total -= 1
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]

    async def _turn(self, caller: str, within: Wait) -> None:
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._last = loop.time()
            self._next = loop.call_soon(self._let_next_in, loop)
            return
        await self._line.wait(caller, within)

    def _let_next_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Admit one request, and run again in the next turn of the loop while others wait."""
        self._next = None
        if not (self._line.length and self._line.admit()):
            return
        now = loop.time()
        self._pace += _SMOOTHING * (min(now - self._last, _LONGEST) - self._pace)
        self._last = now
        self._next = loop.call_soon(self._let_next_in, loop)


def _nothing() -> None:
    """Do nothing, as a request that leaves the queue also leaves the admission."""
