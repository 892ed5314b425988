"""A budget of bytes or pixels that all requests share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import count

from app.domain.errors import OverloadedError
from app.services.concurrency.budget_survey import Survey

Within = AbstractAsyncContextManager[None]
"""Bounds a wait from outside; entered only if there is a wait."""

_UNBOUNDED: Within = nullcontext()


@dataclass(slots=True, eq=False)
class Reservation:
    """One holder's part of a budget, which may grow while data arrives."""

    budget: "Budget"
    caller: str
    expected: int = 0
    """The amount that it will hold in the end; 0 if that is taken at once."""
    amount: int = 0
    age: int = -1
    """The reservation's number, in the order in which holders first asked for room."""

    @property
    def rest(self) -> int:
        """The amount that is still to arrive."""
        return max(0, self.expected - self.amount)

    def grow_to(self, amount: int) -> bool:
        """Hold ``amount`` in total, or return False if there is no room yet; then `wait_for` it."""
        return amount <= self.amount or self.budget.grant(self, amount)

    def complete(self) -> None:
        """Expect nothing more."""
        self.expected = self.amount
        self.budget.give(self, 0)

    async def wait_for(self, amount: int, within: Within = _UNBOUNDED) -> None:
        """Hold ``amount`` in total, or raise OverloadedError when the budget's patience ends.

        Raises what ``within`` raises, too.
        """
        await self.budget.wait(self, amount, within)

    def release(self) -> None:
        """Return all of it to the budget."""
        self.budget.give(self, self.amount)


@dataclass(slots=True)
class Budget:
    """A bounded amount that all requests share.

    Data is counted as it arrives, not when it is announced. Holders whose data is still arriving
    could block one another, so room for the rest of the largest one is reserved: only the oldest
    holder may use it, and can therefore always be completed.

    A caller has at most three quarters of the whole, whether complete or not. Reservations
    without a caller are taken at once, first come, first served.
    """

    what: str
    """The unit that is counted: ``bytes``."""
    limit: int
    patience: float
    """Maximum seconds that a holder waits for room."""
    largest: int = 0
    """Maximum amount of one holder whose data is still arriving."""
    in_use: int = 0
    peak: int = 0
    """The greatest amount that was ever in use."""
    _used: dict[str, int] = field(default_factory=dict)
    """The amount that each caller holds."""
    _arriving: dict[Reservation, None] = field(default_factory=dict)
    """Holders whose data has not arrived completely."""
    _waiting: "dict[Reservation, tuple[int, asyncio.Future[None]]]" = field(default_factory=dict)
    _ages: "count[int]" = field(default_factory=count)

    share: int = field(init=False)
    """Maximum amount of one caller."""

    def __post_init__(self) -> None:
        self.share = max(self.limit * 3 // 4, min(self.limit, self.largest))

    def open(self, caller: str = "", expected: int = 0) -> Reservation:
        """Return an empty reservation for data of at most ``expected`` size."""
        return Reservation(self, caller, expected)

    async def hold(self, amount: int, within: Within = _UNBOUNDED) -> Reservation:
        """Return ``amount`` held until it is released, or raise OverloadedError.

        Raises what ``within`` raises, too. More than the whole budget counts as all of it: such a
        holder goes alone.
        """
        held = self.open()
        if not held.grow_to(amount):
            try:
                await held.wait_for(amount, within)
            except BaseException:
                held.release()
                raise
        return held

    @asynccontextmanager
    async def reserve(self, amount: int) -> AsyncIterator[Reservation]:
        """Hold ``amount`` for the block, as `hold` does."""
        held = await self.hold(amount)
        try:
            yield held
        finally:
            held.release()

    def grant(self, held: Reservation, amount: int) -> bool:
        """Grant ``held`` a total of ``amount`` if there is room and no older holder waits."""
        more = min(amount, self.limit) - held.amount
        if held.age < 0:
            held.age = next(self._ages)
        mine = self._used.get(held.caller, 0)
        # If there is plenty of room, holders don't compete.
        most = more + self.largest
        if not self._waiting and self.in_use + most <= self.limit and mine + most <= self.share:
            self._take(held, more)
            return True
        if held.rest:
            self._arriving[held] = None
        survey = self._survey()
        if any(
            waiting.age < held.age and survey.allows(waiting, amount - waiting.amount)
            for waiting, (amount, _) in self._waiting.items()
        ):
            return False
        if not (survey.allows(held, more) and survey.fits(held, more)):
            return False
        self._take(held, more)
        return True

    async def wait(self, held: Reservation, amount: int, within: Within) -> None:
        """Wait until ``held`` has a total of ``amount``, or raise OverloadedError."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting[held] = (min(amount, self.limit), turn)
        try:
            async with within, asyncio.timeout(self.patience):
                await turn
        except TimeoutError as error:
            raise self._overloaded() from error
        finally:
            # A holder that was admitted at the moment of giving up keeps it until its release.
            if self._waiting.pop(held, None) is not None:
                self._let_in()

    def give(self, held: Reservation, amount: int) -> None:
        """Take ``amount`` back, and admit the holders that now fit."""
        if amount:
            held.amount -= amount
            self.in_use -= amount
            self._used[held.caller] -= amount
            if not self._used[held.caller]:
                del self._used[held.caller]
        if self._arriving and not (held.amount and held.rest):
            self._arriving.pop(held, None)
        if self._waiting:
            self._let_in()

    def _survey(self) -> Survey:
        return Survey(self.in_use, self.limit, self.share, self._used, self._arriving)

    def _let_in(self) -> None:
        """Admit the holders that fit, the oldest first, so that a large one does not starve."""
        survey, blocked = self._survey(), False
        for held in sorted(self._waiting, key=lambda held: held.age):
            amount, turn = self._waiting[held]
            more = amount - held.amount
            # A cancelled holder is about to leave, and one beyond its share blocks nobody.
            if turn.done() or not survey.allows(held, more):
                continue
            if (blocked and not survey.first(held)) or not survey.fits(held, more):
                blocked = True
                continue
            del self._waiting[held]
            self._take(held, more)
            survey.in_use += more
            turn.set_result(None)

    def _take(self, held: Reservation, more: int) -> None:
        held.amount += more
        if held.amount < held.expected:
            self._arriving[held] = None
        elif self._arriving:
            self._arriving.pop(held, None)
        self._used[held.caller] = self._used.get(held.caller, 0) + more
        self.in_use += more
        self.peak = max(self.peak, self.in_use)

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(
            f"This service has as many {self.what} in flight as it may, and none became free "
            f"within {self.patience:g} seconds.",
            retry_after=self.patience,
        )
