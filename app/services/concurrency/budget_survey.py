"""Decides which holder may have more of a budget while the data of others is still arriving."""

from collections.abc import Iterable, Mapping
from typing import Protocol


class Holder(Protocol):
    """A holder of a part of a budget, or a candidate for one."""

    @property
    def caller(self) -> str:
        """Empty for a holder that counts against no caller's share."""
        ...

    @property
    def age(self) -> int:
        """The holder's number in order of arrival; lower is older."""
        ...

    @property
    def rest(self) -> int:
        """The amount that is still expected to arrive."""
        ...


class Survey:
    """Sums up the holders whose data is still arriving, once for all that need room.

    Room for the rest of any one holder is reserved for the oldest, overall and within its caller's
    share. So the oldest can always be completed, then the next, and so on.
    """

    __slots__ = ("_first", "_limit", "_oldest", "_rests", "_share", "_top", "_used", "in_use")

    def __init__(
        self,
        in_use: int,
        limit: int,
        share: int,
        used: Mapping[str, int],
        arriving: Iterable[Holder],
    ) -> None:
        """Set the amount ``used`` by each caller, and the maximum ``share`` of one."""
        self.in_use = in_use
        self._limit, self._share, self._used = limit, share, used
        self._oldest: dict[str, int] = {}
        self._rests: dict[str, _Largest] = {}
        self._top = _Largest()
        for held in arriving:
            caller = held.caller
            self._oldest[caller] = min(held.age, self._oldest.get(caller, held.age))
            self._rests.setdefault(caller, _Largest()).add(held, held.rest)
            # No caller gets more than its share, whatever it announces.
            self._top.add(held, min(held.rest, share - used.get(caller, 0)))
        self._first = min(self._oldest.values(), default=None)

    def first(self, held: Holder) -> bool:
        """Return whether no arriving holder is older."""
        return self._first is None or held.age <= self._first

    def allows(self, held: Holder, more: int) -> bool:
        """Return whether ``more`` is within the share of the holder's caller."""
        caller = held.caller
        if not caller:
            return True
        alone = held.age <= self._oldest.get(caller, held.age)
        kept = 0 if alone else max(self._rests[caller].beside(held), held.rest - more)
        return self._used.get(caller, 0) + more + kept <= self._share

    def fits(self, held: Holder, more: int) -> bool:
        """Return whether there is room for ``more`` besides the room reserved for the oldest."""
        alone = self.first(held) or not held.caller
        kept = 0 if alone else max(self._top.beside(held), held.rest - more)
        return self.in_use + more + kept <= self._limit


class _Largest:
    """The largest amount, its holder, and the next largest."""

    __slots__ = ("_amount", "_holder", "_next")

    def __init__(self) -> None:
        self._amount = self._next = 0
        self._holder: Holder | None = None

    def add(self, holder: Holder, amount: int) -> None:
        """Count one."""
        if amount > self._amount:
            self._next, self._amount, self._holder = self._amount, amount, holder
        elif amount > self._next:
            self._next = amount

    def beside(self, holder: Holder) -> int:
        """Return the largest amount of any other than ``holder``."""
        return self._next if self._holder is holder else self._amount
