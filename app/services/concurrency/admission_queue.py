"""How requests come in: a bounded number, one with each turn of the event loop, callers in turn."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError
from app.services.concurrency.deadline import Wait

_SMOOTHING = 0.02
# One long turn of the loop, a thousand connections taken at once, is no pace.
_LONGEST = 0.05


@dataclass(slots=True)
class Door:
    """Lets requests in as fast as they can be worked on, and turns away what would wait long.

    To begin a request takes a millisecond of the event loop. A hundred at once would hold up
    everyone a tenth of a second, who is refused and who asks for health too; so one goes in
    with each turn of the loop. Who waits here has cost next to nothing, the body is unread.
    """

    capacity: int
    """Requests inside and in line; never more than twice as many."""
    retry_after: float
    """Seconds, told to those who are turned away."""
    patience: float = 3
    """Seconds that the line may take; beyond that one is turned away at once."""
    _callers: dict[str, int] = field(default_factory=dict)
    """Requests of each caller, inside and in line."""
    _total: int = 0
    _lines: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict)
    """Each caller's waiters; the first caller is the next to go in."""
    _waiting: int = 0
    _pace: float = 0.001
    """Seconds from one going in to the next, smoothed."""
    _last: float = 0
    _next: asyncio.Handle | None = None

    @property
    def total(self) -> int:
        """Requests inside and in line."""
        return self._total

    async def enter(self, caller: str, within: Wait) -> None:
        """Go in when it is the request's turn, or raise OverloadedError at once.

        Or whatever ``within`` raises, which is entered only where others are before.
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
        """Return what is told to those who are turned away."""
        return OverloadedError(
            "This service has as many requests in progress as it can serve.",
            retry_after=self.retry_after,
        )

    def admits(self, caller: str) -> bool:
        """Tell whether one more request of ``caller`` would be let in."""
        if self._total < self.capacity and self._waiting * self._pace < self.patience:
            return True
        # Filled by others: whoever has less than a share of it is let in all the same.
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
            self._next = loop.call_soon(self._let_next_in)
            return
        async with within:
            turn: asyncio.Future[None] = loop.create_future()
            self._lines.setdefault(caller, deque()).append(turn)
            self._waiting += 1
            await turn

    def _let_next_in(self) -> None:
        """Let one in, and come again with the next turn of the loop; rest when no one waits."""
        loop = asyncio.get_running_loop()
        self._next = None
        while self._lines:
            turn = self._pop()
            # A cancelled one has left.
            if not turn.done():
                now = loop.time()
                self._pace += _SMOOTHING * (min(now - self._last, _LONGEST) - self._pace)
                self._last = now
                turn.set_result(None)
                self._next = loop.call_soon(self._let_next_in)
                return

    def _pop(self) -> asyncio.Future[None]:
        caller = next(iter(self._lines))
        line = self._lines.pop(caller)
        self._waiting -= 1
        turn = line.popleft()
        if line:
            self._lines[caller] = line  # behind the others
        return turn
