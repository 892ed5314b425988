"""A bound on what the process has in its hands at a time: bytes of bodies, pixels of pictures."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.domain.ports import ImagePreparer
from app.services.images.error_location import named
from app.services.images.header import inspect

Within = AbstractAsyncContextManager[None]
"""What bounds a wait from outside, and is entered only where there is something to wait for."""

_UNBOUNDED: Within = nullcontext()


@dataclass(slots=True)
class Reservation:
    """One holder's share of a budget."""

    budget: "Budget"
    amount: int = 0

    def shrink_to(self, amount: int) -> None:
        """Give back all beyond ``amount``."""
        if amount < self.amount:
            self.budget.give(self.amount - amount)
            self.amount = amount

    def release(self) -> None:
        """Give all of it back."""
        self.budget.give(self.amount)
        self.amount = 0


@dataclass(slots=True)
class Budget:
    """An amount that all requests share, first come, first served."""

    what: str
    """What is counted: ``bytes``."""
    limit: int
    patience: float
    """Seconds that a request waits for its share."""
    in_use: int = 0
    peak: int = 0
    """The most that was ever in use."""
    _waiting: deque[tuple[int, "asyncio.Future[None]"]] = field(default_factory=deque)

    async def hold(self, amount: int, within: Within = _UNBOUNDED) -> Reservation:
        """Return ``amount`` held until it is released, or raise OverloadedError.

        Or whatever ``within`` raises. More than the whole budget counts as all of it: such a one
        goes alone.
        """
        held = Reservation(self, min(amount, self.limit))
        await self.take(held.amount, within)
        return held

    @asynccontextmanager
    async def reserve(self, amount: int) -> AsyncIterator[Reservation]:
        """Hold ``amount`` for the block, as `hold` does."""
        held = await self.hold(amount)
        try:
            yield held
        finally:
            held.release()

    async def take(self, amount: int, within: Within = _UNBOUNDED) -> None:
        """Wait for ``amount``, or raise OverloadedError after `patience`."""
        if not amount:
            return
        if not self._waiting and self._fits(amount):
            self._grant(amount)
            return
        await self._wait(amount, within)

    def give(self, amount: int) -> None:
        """Take ``amount`` back, and let in who fits now."""
        self.in_use -= amount
        self._let_in()

    async def _wait(self, amount: int, within: Within) -> None:
        turn = asyncio.get_running_loop().create_future()
        entry = (amount, turn)
        self._waiting.append(entry)
        try:
            async with within, asyncio.timeout(self.patience):
                await turn
        except BaseException as error:
            self._leave(entry)
            if isinstance(error, TimeoutError):
                raise self._overloaded() from error
            raise

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(
            f"This service has as many {self.what} in flight as it may, and none became free "
            f"within {self.patience:g} seconds.",
            retry_after=self.patience,
        )

    def _leave(self, entry: "tuple[int, asyncio.Future[None]]") -> None:
        amount, turn = entry
        if turn.done() and not turn.cancelled():
            # Let in at the very moment of giving up.
            self.give(amount)
            return
        if entry in self._waiting:
            self._waiting.remove(entry)
        self._let_in()

    def _let_in(self) -> None:
        # In order: a large one must not starve behind ever new small ones.
        while self._waiting and self._fits(self._waiting[0][0]):
            amount, turn = self._waiting.popleft()
            # A cancelled one is about to leave by itself.
            if not turn.done():
                self._grant(amount)
                turn.set_result(None)

    def _fits(self, amount: int) -> bool:
        return self.in_use + amount <= self.limit

    def _grant(self, amount: int) -> None:
        self.in_use += amount
        self.peak = max(self.peak, self.in_use)


@dataclass(frozen=True, slots=True)
class AdmittedPreparer:
    """An `ImagePreparer` that has only so many pixels in preparation at a time."""

    inner: ImagePreparer
    limits: ImageLimits
    pixels: Budget

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return the report, or raise an ImageError or OverloadedError."""
        with named(image):
            facts, _ = await asyncio.to_thread(inspect, image.data, self.limits)
        async with self.pixels.reserve(facts.width * facts.height):
            return await self.inner.prepare(image)
