"""The time limit of a fetch, which excludes waiting for the service's memory budget."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.domain.ports import Arrival


@dataclass(frozen=True, slots=True)
class TimedArrival:
    """An `Arrival` that stops a clock while it waits."""

    arrival: Arrival
    clock: asyncio.Timeout

    async def grow_to(self, size: int) -> None:
        """Return when there is room for ``size`` bytes in all, or raise OverloadedError."""
        until = self.clock.when()
        assert until is not None
        loop = asyncio.get_running_loop()
        rest = until - loop.time()
        self.clock.reschedule(None)
        await self.arrival.grow_to(size)
        self.clock.reschedule(loop.time() + rest)


@asynccontextmanager
async def timed(seconds: float, arrival: Arrival) -> AsyncIterator[Arrival]:
    """Bound the block by ``seconds``, or raise TimeoutError; yield the timed arrival."""
    async with asyncio.timeout(seconds) as clock:
        yield TimedArrival(arrival, clock)
