"""The cost of a copy of an imported model, with a fake clock."""

import time
from dataclasses import dataclass, field

import pytest

from app.domain.cost import Basis, Cost, UnitPrice, Window, added

DAY = 86_400


@dataclass
class Clock:
    now: float = DAY * 20_000 + 3_600

    def __call__(self) -> float:
        return self.now


@dataclass
class Counted:
    """Counts the billing windows that begin."""

    clock: Clock = field(default_factory=Clock)
    windows: int = 0

    def price(self, units: int | None = 2) -> UnitPrice:
        return UnitPrice(0.0785, units, self.clock, self._opened)

    def _opened(self) -> None:
        self.windows += 1


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_a_window_of_two_units_has_the_cost_of_the_price_page(counted):
    assert counted.price().window_cost == pytest.approx(0.785)


def test_a_call_costs_the_share_of_its_window_that_its_seconds_are(counted):
    cost = counted.price().answered(10, 20, time.perf_counter() - 30)

    assert cost is not None
    assert (cost.basis, cost.window) == (Basis.UNITS, Window(0.785, 1))
    assert cost.total == pytest.approx(0.785 * 30 / 300, rel=0.01)


def test_a_call_longer_than_a_window_costs_at_most_the_window(counted):
    cost = counted.price().answered(10, 20, time.perf_counter() - 10_000)

    assert cost is not None
    assert cost.total == 0.785


def test_calls_within_five_minutes_share_a_window(counted):
    price = counted.price()
    for _ in range(3):
        price.answered(1, 1, 0)
        counted.clock.now += 99

    assert counted.windows == 1


def test_a_copy_in_continuous_use_is_billed_for_every_window_in_between(counted):
    price = counted.price()
    for _ in range(5):
        price.answered(1, 1, 0)
        counted.clock.now += 299

    # The first 1,200 seconds: 0 to 300, to 600, to 900, to 1,200.
    assert counted.windows == 4


def test_a_removed_copy_opens_a_new_window_with_its_next_answer(counted):
    price = counted.price()
    price.answered(1, 1, 0)
    counted.clock.now += 7_200
    price.answered(1, 1, 0)

    assert counted.windows == 2


def test_windows_are_counted_from_zero_each_day(counted):
    price = counted.price()
    price.answered(1, 1, 0)
    counted.clock.now += DAY
    cost = price.answered(1, 1, 0)

    assert cost is not None
    assert cost.window == Window(0.785, 1)


def test_windows_are_counted_while_the_units_and_the_cost_are_unknown(counted):
    price = counted.price(units=None)

    assert price.answered(1, 1, 0) is None
    assert counted.windows == 1


def test_costs_of_one_kind_are_summed():
    window = Window(0.785, 3)

    assert added([Cost(1, 2), Cost(3, 4)]) == Cost(4, 6)
    assert added([Cost(0, 0, 0.1, window), Cost(0, 0, 0.2, window)]) == Cost(0, 0, 0.3, window)
    assert added([Cost(1, 2), None]) is None
