"""Counters of one process for the library ``limits``.

Its own memory storage looks through every counter there is with each request, and takes a lock and
a task for it: with a few thousand callers that is most of a request's work.
"""

import time
from dataclasses import dataclass

from limits.aio.storage import Storage

_SWEEP_SECONDS = 60


@dataclass(slots=True)
class _Window:
    """A counter until it is forgotten."""

    count: int
    ends: float
    """Unix time."""


class WindowStorage(Storage):
    """Counters in a dictionary. Those whose window has ended are swept out once a minute."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, _Window] = {}
        self._next_sweep = time.time() + _SWEEP_SECONDS

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Return what its operations raise: nothing."""
        return ()

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

    async def check(self) -> bool:
        """Return True."""
        return True

    async def reset(self) -> int | None:
        """Forget all; return how many there were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget one."""
        self._windows.pop(key, None)

    def _sweep(self, now: float) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window.ends > now}
        self._next_sweep = now + _SWEEP_SECONDS
