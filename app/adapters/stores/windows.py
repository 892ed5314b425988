"""Counters in windows of time, in a dictionary."""

import time
from dataclasses import dataclass
from typing import Protocol

_SWEEP_SECONDS = 60


@dataclass(slots=True)
class Window:
    """A counter until it is forgotten."""

    count: int
    ends: float
    """Seconds, by the counting store's clock; tells the window from the key's others."""
    left: float = 0
    """Seconds until then, when it was looked at."""


class Windows(Protocol):
    """Counters by key."""

    async def add(self, key: str, seconds: int, amount: int) -> Window:
        """Add ``amount``, in a new window of ``seconds`` if there is none; return the window."""
        ...

    async def correct(self, key: str, ends: float, difference: int) -> None:
        """Add ``difference`` to the window that ends at ``ends``, if it still exists."""
        ...


class MemoryWindows:
    """Counts in a dictionary. Those whose window has ended are swept out once a minute.

    By a monotonic clock: one that is set back would make a window last longer.
    """

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._next_sweep = time.monotonic() + _SWEEP_SECONDS

    def __len__(self) -> int:
        """Return how many counters there are."""
        return len(self._windows)

    async def add(self, key: str, seconds: int, amount: int) -> Window:
        """Add ``amount``, in a new window of ``seconds`` if there is none; return the window."""
        now = time.monotonic()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            if now >= self._next_sweep:
                self._sweep(now)
            window = self._windows[key] = Window(0, now + seconds)
        window.count += amount
        return Window(window.count, window.ends, window.ends - now)

    async def correct(self, key: str, ends: float, difference: int) -> None:
        """Add ``difference`` to the window that ends at ``ends``, if it still exists."""
        window = self._windows.get(key)
        if window is not None and window.ends == ends:
            window.count += difference

    def _sweep(self, now: float) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window.ends > now}
        self._next_sweep = now + _SWEEP_SECONDS
