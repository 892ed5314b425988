"""A queue in which callers take turns, however many requests each has waiting."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field


@dataclass(slots=True)
class FairQueue:
    """Waiters in round-robin order: the first of each caller in turn, then the second."""

    returned: Callable[[], None]
    """Called with the turn of a waiter that left at the moment of its admission."""
    _lines: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict)
    """Each caller's waiters; the first caller is the next to be admitted."""
    length: int = 0
    """Waiters of all callers."""

    async def wait(self, caller: str, within: AbstractAsyncContextManager[object]) -> None:
        """Return when it is the waiter's turn.

        Raises the error given to `evict`, or what ``within`` raises, which bounds the wait.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        self.length += 1
        try:
            async with within:
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.returned()
            else:
                self._leave(caller, turn)
            raise

    def admit(self) -> bool:
        """Admit the next waiter, and return whether there was one."""
        while self._lines:
            caller = next(iter(self._lines))
            line = self._lines.pop(caller)
            turn = line.popleft()
            self.length -= 1
            if line:
                self._lines[caller] = line  # behind the others
            # A cancelled waiter is about to leave by itself.
            if not turn.done():
                turn.set_result(None)
                return True
        return False

    def evict(self, caller: str, error: Exception) -> bool:
        """Evict the newest waiter of the caller with the most, to make room for one of ``caller``.

        Returns False, and sends nobody away, where ``caller`` would then have the longest line.
        """
        longest = max(self._lines, key=lambda name: len(self._lines[name]), default=caller)
        if len(self._lines.get(longest, ())) <= len(self._lines.get(caller, ())) + 1:
            return False
        turn = self._lines[longest].pop()
        self.length -= 1
        if not turn.done():
            turn.set_exception(error)
        return True

    def _leave(self, caller: str, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(caller)
        if line is not None and turn in line:
            line.remove(turn)
            self.length -= 1
            if not line:
                del self._lines[caller]
