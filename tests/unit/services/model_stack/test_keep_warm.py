"""Keeping a model warm: when its cost is logged."""

import pytest
from structlog.testing import capture_logs

from app.domain.cost import UnitPrice
from app.domain.errors import ModelFailedError
from app.domain.generation import Completion, ModelRequest, Target
from app.domain.model import Dialect
from app.services.model_stack.circuit_breaker import Breaker
from app.services.model_stack.concurrency_limit import FairSlots
from app.services.model_stack.keep_warm import KeepWarm
from app.services.model_stack.target import TargetGuard


class OverError(Exception):
    """Ends the keep-warm loop, which otherwise runs until it is cancelled."""


async def logged(price: UnitPrice | None, *, units: int | None = None) -> list[object]:
    """Return the logged costs of a day; the first call reports ``units``."""
    guard = TargetGuard(
        Target("us-west-2", "m", Dialect.CHAT), Breaker(5, 15), FairSlots(1, 1, 1), price=price
    )

    async def ask(_: ModelRequest) -> Completion:
        if price is not None and units is not None:
            price.units_per_copy = units
        raise ModelFailedError("x")

    calls = 0

    async def sleep(_: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OverError

    with capture_logs() as lines, pytest.raises(OverError):
        await KeepWarm((guard,), ask, 240, sleep).run()
    return [line["usd_a_day"] for line in lines if "kept warm, which" in str(line["event"])]


async def test_the_cost_of_keeping_warm_is_logged_at_the_start():
    assert await logged(UnitPrice(0.0785, 2)) == [pytest.approx(226.08)]


async def test_a_cost_that_becomes_known_later_is_logged_once_then():
    assert await logged(UnitPrice(0.0785), units=2) == [None, pytest.approx(226.08)]


async def test_a_model_without_a_unit_price_is_logged_without_a_cost():
    assert await logged(None) == [None]
