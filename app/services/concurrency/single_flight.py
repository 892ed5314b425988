"""Work that is done once for all concurrent requests for it."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Flight(Generic[T]):
    """One run of some work, whose outcome is shared by all that join it."""

    __slots__ = ("_lasting", "outcome", "waiting")

    def __init__(
        self, work: "Coroutine[Any, Any, T] | asyncio.Future[T]", *, lasting: bool = False
    ) -> None:
        """``lasting`` work goes on when nobody waits for it any more; other work is cancelled.

        A coroutine becomes a task; a future is set by the code that does the work.
        """
        self.outcome = asyncio.ensure_future(work)
        # Retrieved, as asyncio would otherwise log a failure for which nobody waits any more.
        self.outcome.add_done_callback(_retrieve)
        self.waiting = 0
        self._lasting = lasting

    @property
    def over(self) -> bool:
        """Whether the work has ended, or is being cancelled because nobody waits for it."""
        return self.outcome.done() or not (self.waiting or self._lasting)

    async def join(self) -> T:
        """Return the outcome, or raise what the work raises."""
        self.waiting += 1
        try:
            # Shielded, so that a request that leaves does not cancel it for the others.
            return await asyncio.shield(self.outcome)
        finally:
            self.waiting -= 1
            if self.over:
                self.outcome.cancel()
            # The outcome's exception holds this frame: with the outcome in it, a circle around
            # all of the work's arguments, until the collector comes by.
            del self


class SingleFlight(Generic[K, T]):
    """Runs of work by key; a request for work in progress joins it."""

    def __init__(self, *, lasting: bool = False) -> None:
        """``lasting`` as in `Flight`."""
        self._lasting = lasting
        self._flights: dict[K, Flight[T]] = {}

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the work in progress for ``key``, else start ``work``."""
        flight = self._flights.get(key)
        if flight is None or flight.outcome.done():
            flight = self._flights[key] = Flight(work(), lasting=self._lasting)
        try:
            return await flight.join()
        finally:
            if flight.over and self._flights.get(key) is flight:
                del self._flights[key]
            del flight  # As in `Flight.join`.

    async def close(self, *, cancel: bool = False) -> None:
        """Wait for the work in progress to end; ``cancel`` ends it."""
        outcomes = [flight.outcome for flight in self._flights.values()]
        if cancel:
            for outcome in outcomes:
                outcome.cancel()
        if outcomes:
            await asyncio.wait(outcomes)


def _retrieve(outcome: "asyncio.Future[Any]") -> None:
    if not outcome.cancelled():
        outcome.exception()
