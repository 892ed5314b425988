"""Runs a check on examples until time is up or one fails."""

import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BATCH = 200
"""Examples between two checks of the clock."""


def campaign(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], seconds: float) -> int:
    """Return how many examples passed; raise the error of the smallest failing example."""
    until = time.monotonic() + seconds
    held = 0

    @settings(
        max_examples=BATCH, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(strategy)
    def batch(example: Any) -> None:
        nonlocal held
        check(example)
        held += 1

    while time.monotonic() < until:
        batch()
    return held
