"""Counters in windows of time: in a dictionary, or in Redis for all replicas together."""

import time
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio import Redis

_SWEEP_SECONDS = 60


@dataclass(slots=True)
class Window:
    """A counter until it is forgotten."""

    count: int
    ends: float
    """Seconds, by the clock of whoever counts; tells it from the key's other windows."""
    left: float = 0
    """Seconds until then, when it was looked at."""


class Windows(Protocol):
    """Counters by key."""

    async def add(self, key: str, seconds: int, amount: int) -> Window:
        """Add ``amount``, in a new window of ``seconds`` where there is none; return what is."""
        ...

    async def correct(self, key: str, ends: float, difference: int) -> None:
        """Add ``difference`` to the window that ends then, to no other one."""
        ...


class MemoryWindows:
    """Counts in a dictionary. Those whose window has ended are swept out once a minute.

    By a clock that nobody sets back: a window would last so much longer.
    """

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._next_sweep = time.monotonic() + _SWEEP_SECONDS

    def __len__(self) -> int:
        """Return how many counters there are."""
        return len(self._windows)

    async def add(self, key: str, seconds: int, amount: int) -> Window:
        """Add ``amount``, in a new window of ``seconds`` where there is none; return what is."""
        now = time.monotonic()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            if now >= self._next_sweep:
                self._sweep(now)
            window = self._windows[key] = Window(0, now + seconds)
        window.count += amount
        return Window(window.count, window.ends, window.ends - now)

    async def correct(self, key: str, ends: float, difference: int) -> None:
        """Add ``difference`` to the window that ends then, to no other one."""
        window = self._windows.get(key)
        if window is not None and window.ends == ends:
            window.count += difference

    def _sweep(self, now: float) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window.ends > now}
        self._next_sweep = now + _SWEEP_SECONDS


# Adds, and begins a window where there is none. A window's end is by Redis's own clock, so that all
# replicas speak of the same moment; with the milliseconds until then. Its time and a counter's life
# are read apart, so the sum may be one off.
_ADD = """
local count = redis.call('incrby', KEYS[1], ARGV[2])
if redis.call('pttl', KEYS[1]) < 0 then redis.call('expire', KEYS[1], ARGV[1]) end
local left = redis.call('pttl', KEYS[1])
local now = redis.call('time')
return {count, now[1] * 1000 + math.floor(now[2] / 1000) + left, left}
"""
# No two windows of one counter end within half a second: the shortest takes one.
_CORRECT = """
local left = redis.call('pttl', KEYS[1])
local now = redis.call('time')
local ends = now[1] * 1000 + math.floor(now[2] / 1000) + left
if left > 0 and math.abs(ends - ARGV[1]) < 500 then redis.call('incrby', KEYS[1], ARGV[2]) end
"""
_PREFIX = "llama-vision:limits:"


class RedisWindows:
    """Counts in Redis, for all replicas that share it."""

    def __init__(self, client: "Redis") -> None:
        self._add = client.register_script(_ADD)
        self._correct = client.register_script(_CORRECT)

    async def add(self, key: str, seconds: int, amount: int) -> Window:
        """Add ``amount``, in a new window of ``seconds`` where there is none; return what is."""
        count, ends, left = await self._add([_PREFIX + key], [seconds, amount])
        return Window(count, ends / 1000, max(left, 0) / 1000)

    async def correct(self, key: str, ends: float, difference: int) -> None:
        """Add ``difference`` to the window that ends then, to no other one."""
        await self._correct([_PREFIX + key], [round(ends * 1000), difference])
