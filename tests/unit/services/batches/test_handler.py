"""The share of the service that batch rows use."""

from typing import Any

import pytest

from app.services.batches.handler import GAP, RowShare


class Slots:
    def __init__(
        self, taken: int = 0, waiting: int = 0, capacity: int = 10, background: int = 0
    ) -> None:
        self.taken, self.waiting, self.capacity = taken, waiting, capacity
        self.background = background


class Guard:
    def __init__(self, slots: Slots) -> None:
        self.slots = slots


def share(slots: Slots, part: float = 0.8, most: int = 100) -> RowShare:
    guard: Any = Guard(slots)
    return RowShare(part, most, (guard,))


@pytest.mark.parametrize(
    ("slots", "running", "room"),
    [
        (Slots(), 0, 8),
        (Slots(taken=5, background=5), 5, 3),
        (Slots(taken=8, background=8), 8, 0),
        (Slots(taken=3, background=2), 7, 0),
        (Slots(taken=3), 0, 5),
        (Slots(taken=10), 0, 1),
        (Slots(taken=10), 1, -1),
        (Slots(taken=1), 7, 0),
        (Slots(taken=10, waiting=1), 0, 0),
        (Slots(capacity=1), 0, 1),
    ],
)
def test_rows_take_a_share_of_what_interactive_requests_leave(slots, running, room):
    assert share(slots).room(running) == room


def test_a_quarter_of_the_rows_continues_during_and_shortly_after_interactive_requests(
    monkeypatch,
):
    now = [100.0]
    monkeypatch.setattr("app.services.batches.handler.time.monotonic", lambda: now[0])
    slots = Slots(capacity=1000)
    rows = share(slots, most=32)
    assert rows.room(0) == 32

    assert rows.gap() == 0

    # Of eight rows, two hold slots and the others prepare their pictures.
    slots.taken, slots.background = 3, 2
    assert rows.room(8) == 0
    assert rows.gap() == GAP
    slots.background = 0
    slots.taken = 1
    assert rows.room(0) == 8
    slots.taken = 0
    assert rows.room(0) == 8
    now[0] += 2

    assert rows.room(0) == 32
