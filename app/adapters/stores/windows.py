"""Counters in windows of time.

The library ``limits`` has them in Redis. Its own memory storage looks through every counter there
is with each request, and takes a lock and a task for it: with a few thousand callers that is most
of a request's work.
"""

import time
from dataclasses import dataclass
from typing import Protocol

_SWEEP_SECONDS = 60


@dataclass(slots=True)
class _Window:
    """A counter until it is forgotten."""

    count: int
    ends: float
    """Unix time."""


class Windows(Protocol):
    """Counters by key; what a limiter needs of the storages of ``limits``."""

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add ``amount``, in a new window of ``expiry`` seconds where there is none; return all."""
        ...

    async def get(self, key: str) -> int:
        """Return the count."""
        ...

    async def get_expiry(self, key: str) -> float:
        """Return when the window ends, Unix time; now where there is none."""
        ...


class MemoryWindows:
    """In a dictionary. Those whose window has ended are swept out once a minute."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self._next_sweep = time.time() + _SWEEP_SECONDS

    def __len__(self) -> int:
        """Return how many counters there are."""
        return len(self._windows)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add ``amount``, in a new window of ``expiry`` seconds where there is none; return all."""
        now = time.time()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            if now >= self._next_sweep:
                self._sweep(now)
            window = self._windows[key] = _Window(0, now + expiry)
        window.count += amount
        return window.count

    async def get(self, key: str) -> int:
        """Return the count."""
        window = self._windows.get(key)
        return window.count if window is not None and window.ends > time.time() else 0

    async def get_expiry(self, key: str) -> float:
        """Return when the window ends, Unix time; now where there is none."""
        window = self._windows.get(key)
        return time.time() if window is None else window.ends

    def _sweep(self, now: float) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window.ends > now}
        self._next_sweep = now + _SWEEP_SECONDS
