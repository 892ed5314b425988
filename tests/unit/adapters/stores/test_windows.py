"""Rate limit counters in memory."""

import pytest

from app.adapters.stores import windows
from app.adapters.stores.windows import MemoryWindows, Window


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1_000_000.0
        set_back = 0.0

        def monotonic(self) -> float:
            return self.now

        def time(self) -> float:
            return self.now - self.set_back

    clock = Clock()
    monkeypatch.setattr(windows, "time", clock)
    return clock


async def test_a_window_begins_with_its_first_use_and_is_deleted_at_its_end(clock):
    windows = MemoryWindows()
    assert await windows.add("a", 10, 3) == Window(3, clock.now + 10, 10)
    clock.now += 6
    assert await windows.add("a", 10, 2) == Window(5, clock.now + 4, 4)

    clock.now += 4
    assert await windows.add("a", 10, 1) == Window(1, clock.now + 10, 10)


async def test_a_window_ends_on_time_even_if_the_clock_is_set_back(clock):
    windows = MemoryWindows()
    await windows.add("a", 10, 3)
    clock.now += 10
    clock.set_back = 3600

    assert await windows.add("a", 10, 1) == Window(1, clock.now + 10, 10)


async def test_expired_windows_are_deleted(clock):
    windows = MemoryWindows()
    for number in range(100):
        await windows.add(f"caller {number}", 10, 1)
    await windows.add("long", 1000, 1)
    clock.now += 100
    await windows.add("another", 10, 1)

    assert len(windows) == 2
