"""Admits a bounded number of requests, one per turn of the event loop, callers in turn."""

import asyncio
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError
from app.services.concurrency.deadline import Wait
from app.services.concurrency.fair_queue import FairQueue

_SMOOTHING = 0.02
# One long turn of the loop, a thousand connections taken at once, is no pace.
_LONGEST = 0.05


@dataclass(slots=True)
class AdmissionQueue:
    """Admits requests as fast as they can be served, and refuses those that would wait long.

    Beginning a request takes a millisecond of the event loop. A hundred at once would hold up
    everyone for a tenth of a second, refusals and health checks too; so one goes in with each
    turn of the loop. A request that waits here has cost next to nothing: its body is unread.
    """

    capacity: int
    """Requests inside and in line; never more than twice as many."""
    retry_after: float
    """Seconds that refused requests are told to wait."""
    patience: float = 3
    """Seconds that the line may take; beyond, requests are refused at once."""
    _callers: dict[str, int] = field(default_factory=dict)
    """Requests of each caller, inside and in line."""
    _total: int = 0
    _line: FairQueue = field(default_factory=lambda: FairQueue(_nothing))
    _pace: float = 0.001
    """Seconds from one going in to the next, smoothed."""
    _last: float = 0
    _next: asyncio.Handle | None = None

    @property
    def total(self) -> int:
        """Requests inside and in line."""
        return self._total

    @property
    def has_room(self) -> bool:
        """Whether anyone's request would be let in."""
        return self._total < self.capacity and self._line.length * self._pace < self.patience

    async def enter(self, caller: str, within: Wait) -> None:
        """Go in when it is the request's turn, or raise OverloadedError at once.

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
        """Return whether one more request of ``caller`` would be let in."""
        if self.has_room:
            return True
        # Filled by others: a caller with less than a share of it is let in all the same.
        callers = len(self._callers) + (caller not in self._callers)
        share = max(1, min(self.capacity, self._total) // callers)
        return self._callers.get(caller, 0) < share and self._total < 2 * self.capacity

    def leave(self, caller: str) -> None:
        """Go out."""
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
        """Let one in, and run again with the next turn of the loop; rest when no one waits."""
        self._next = None
        if not (self._line.length and self._line.admit()):
            return
        now = loop.time()
        self._pace += _SMOOTHING * (min(now - self._last, _LONGEST) - self._pace)
        self._last = now
        self._next = loop.call_soon(self._let_next_in, loop)


def _nothing() -> None:
    """A no-op: a request that leaves the queue leaves the admission as well."""
