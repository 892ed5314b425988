"""Counters of one process."""

import pytest

from app.adapters.stores import windows
from app.adapters.stores.windows import MemoryWindows


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1_000_000.0

        def time(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(windows, "time", clock)
    return clock


async def test_a_window_begins_with_its_first_use_and_is_forgotten_at_its_end(clock):
    storage = MemoryWindows()
    assert await storage.incr("a", 10, 3) == 3
    clock.now += 6
    assert await storage.incr("a", 10, 2) == 5
    assert await storage.get_expiry("a") == clock.now + 4

    clock.now += 4
    assert await storage.get("a") == 0
    assert await storage.incr("a", 10) == 1


async def test_ended_windows_are_swept_out(clock):
    storage = MemoryWindows()
    for number in range(100):
        await storage.incr(f"caller {number}", 10)
    await storage.incr("long", 1000)
    clock.now += 100
    await storage.incr("another", 10)

    assert len(storage) == 2
