"""The cost of an answer: by tokens, or by the time that a copy of an imported model runs."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

# Fractions of a dollar: finer than the price of a token, coarser than rounding errors.
DIGITS = 10
"""Decimal places of amounts."""
WINDOW_SECONDS = 300
"""Imported models are billed in windows of five minutes."""
_DAY_SECONDS = 86_400


class Basis(StrEnum):
    """The basis on which a cost is calculated."""

    TOKENS = "tokens"
    UNITS = "units"
    """Custom Model Units of a running copy, in windows of five minutes."""


@dataclass(frozen=True, slots=True)
class Window:
    """The billing window in which an answer was given."""

    cost: float
    """US dollars for the whole window, including other answers in it."""
    today: int
    """Windows since midnight UTC, including this one, as counted by this process."""


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars."""

    input: float
    output: float
    share: float = 0
    """The part of a window's cost for the call's seconds; it replaces the two fields above."""
    window: Window | None = None
    guardrail: float = 0
    """The cost of guardrails' checks."""
    saved: float | None = None
    """The amount that an answer from the cache has saved; None for other answers."""

    @property
    def basis(self) -> Basis:
        """The basis on which the cost was calculated."""
        return Basis.TOKENS if self.window is None else Basis.UNITS

    @property
    def total(self) -> float:
        """The total cost."""
        return round(self.input + self.output + self.share + self.guardrail, DIGITS)


def total(amounts: Iterable[float | None]) -> float | None:
    """Return the sum of amounts; None if one is unknown."""
    known = 0.0
    for amount in amounts:
        if amount is None:
            return None
        known += amount
    return round(known, DIGITS)


def added(costs: Sequence[Cost | None]) -> Cost | None:
    """Return the sum of costs; None if one is unknown or there are none."""
    known = [cost for cost in costs if cost is not None]
    if not known or len(known) < len(costs):
        return None
    return Cost(
        round(sum(cost.input for cost in known), DIGITS),
        round(sum(cost.output for cost in known), DIGITS),
        round(sum(cost.share for cost in known), DIGITS),
        known[-1].window,
        round(sum(cost.guardrail for cost in known), DIGITS),
        _saved(known),
    )


def _saved(costs: Sequence[Cost]) -> float | None:
    saved = [cost.saved for cost in costs if cost.saved is not None]
    return round(sum(saved), DIGITS) if saved else None


class Pricing(Protocol):
    """The price of calls of one target."""

    def most(self, prompt_tokens: int, generation_tokens: int) -> Cost | None:
        """Return the maximum cost of a call with these maximum tokens; None if unknown."""
        ...

    def answered(
        self, prompt_tokens: int | None, generation_tokens: int | None, began: float
    ) -> Cost | None:
        """Return the cost of an answered call that began at ``began`` (`time.perf_counter`).

        None if the upstream did not report the cost's basis.
        """
        ...


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def most(self, prompt_tokens: int, generation_tokens: int) -> Cost:
        """Return the cost of these token counts."""
        return Cost(
            round(prompt_tokens * self.input / 1e6, DIGITS),
            round(generation_tokens * self.output / 1e6, DIGITS),
        )

    def answered(
        self,
        prompt_tokens: int | None,
        generation_tokens: int | None,
        began: float,  # noqa: ARG002 - time costs nothing here
    ) -> Cost | None:
        """Return the cost of these token counts; None if one is unknown."""
        if prompt_tokens is None or generation_tokens is None:
            return None
        # As `of`, written out: this is asked for each piece of a stream.
        return Cost(
            round(prompt_tokens * self.input / 1e6, DIGITS),
            round(generation_tokens * self.output / 1e6, DIGITS),
        )


@dataclass(slots=True)
class UnitPrice:
    """A running copy's price: units times a rate, in windows from the first answer on.

    Source: AWS's price page for Custom Model Import. It covers one copy as this process sees it:
    other replicas and further copies open windows of their own.
    """

    usd_per_unit_minute: float
    units_per_copy: int | None = None
    """None until AWS reports them; the cost is unknown until then."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, in UTC."""
    opened: Callable[[], None] = lambda: None
    """Called for each window that begins."""
    _start: float = float("-inf")
    _last: float = float("-inf")
    _today: int = 0

    @property
    def window_cost(self) -> float:
        """US dollars for one window of one copy."""
        minutes = WINDOW_SECONDS / 60
        return round(self.usd_per_unit_minute * (self.units_per_copy or 0) * minutes, DIGITS)

    def most(
        self,
        prompt_tokens: int,  # noqa: ARG002 - by time
        generation_tokens: int,  # noqa: ARG002
    ) -> Cost | None:
        """Return the cost of a whole window, as a call may be the only one in its window.

        None while the units of a copy are unknown.
        """
        if self.units_per_copy is None:
            return None
        return Cost(0, 0, self.window_cost, Window(self.window_cost, self._today))

    def answered(
        self,
        prompt_tokens: int | None,  # noqa: ARG002 - not by tokens
        generation_tokens: int | None,  # noqa: ARG002
        began: float,
    ) -> Cost | None:
        """Return the call's share of its window; None while the units of a copy are unknown."""
        self._count(self.clock())
        if self.units_per_copy is None:
            return None
        part = min(1, (time.perf_counter() - began) / WINDOW_SECONDS)
        share = round(self.window_cost * part, DIGITS)
        return Cost(0, 0, share, Window(self.window_cost, self._today))

    def _count(self, now: float) -> None:
        """Count the windows up to ``now``."""
        running = now - self._last < WINDOW_SECONDS
        self._last = now
        if now < self._start + WINDOW_SECONDS:
            return
        # A copy that was used in the last window has kept running, for whole windows.
        passed = int((now - self._start) // WINDOW_SECONDS) if running else 1
        if now // _DAY_SECONDS != self._start // _DAY_SECONDS:
            self._today = 0
        self._start = self._start + passed * WINDOW_SECONDS if running else now
        self._today += passed
        for _ in range(passed):
            self.opened()
