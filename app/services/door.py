"""How many requests are in the house at a time: beyond that they are turned away at the door."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError


@dataclass(slots=True)
class Door:
    """Lets ``capacity`` requests in, and keeps a share for whoever has fewer than theirs.

    Refusing here costs a fraction of what it costs once a body has been read, so that a service
    under several times its load spends its time on answers.
    """

    capacity: int
    """Requests; never more than twice as many are inside."""
    retry_after: float
    """Seconds, told to those who are turned away."""
    _inside: dict[str, int] = field(default_factory=dict)
    """Requests of each caller."""
    _total: int = 0

    @property
    def inside(self) -> int:
        """Requests inside."""
        return self._total

    @contextmanager
    def passing(self, caller: str) -> Iterator[None]:
        """Be inside for the block, or raise OverloadedError."""
        if not self._open(caller):
            raise OverloadedError(
                "This service has as many requests in progress as it can serve.",
                retry_after=self.retry_after,
            )
        self._inside[caller] = self._inside.get(caller, 0) + 1
        self._total += 1
        try:
            yield
        finally:
            self._leave(caller)

    def _open(self, caller: str) -> bool:
        if self._total < self.capacity:
            return True
        # Filled by others: the line inside makes room by sending away the newest of whoever has
        # the most in it.
        callers = len(self._inside) + (caller not in self._inside)
        share = max(1, self.capacity // callers)
        return self._inside.get(caller, 0) < share and self._total < 2 * self.capacity

    def _leave(self, caller: str) -> None:
        self._total -= 1
        self._inside[caller] -= 1
        if not self._inside[caller]:
            del self._inside[caller]
