"""One deadline for everything that one request waits for, and an end to all of them."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.domain.errors import DeadlineExceededError, NotReadyError, ShuttingDownError


@dataclass(slots=True)
class Drain:
    """The way down: first readiness fails, later whatever still waits is ended."""

    draining: bool = False
    closed: bool = False
    _waits: set[asyncio.Timeout] = field(default_factory=set)

    def begin(self) -> None:
        """Have readiness fail, so that no new requests are sent here."""
        self.draining = True

    def close(self) -> None:
        """End what is still being waited for, with ShuttingDownError."""
        self.closed = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            # One whose deadline passed in this very moment can't be moved any more.
            if not wait.expired():
                wait.reschedule(now)

    async def check(self) -> None:
        """Return, or raise NotReadyError; a `app.domain.ports.Readiness`."""
        if self.draining:
            raise NotReadyError("The service is shutting down.")

    def _over(self) -> bool:
        return self.closed

    @asynccontextmanager
    async def before(self, deadline: float) -> AsyncIterator[None]:
        """Raise DeadlineExceededError where the block isn't through at ``deadline`` (loop time)."""
        if self._over():
            raise _shutting_down()
        try:
            async with asyncio.timeout_at(None if math.isinf(deadline) else deadline) as wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError as error:
            if not wait.expired():
                raise
            raise (_shutting_down() if self._over() else _too_late()) from error


def _shutting_down() -> ShuttingDownError:
    return ShuttingDownError(
        "The service was stopped before the answer was ready. The model may have been called and "
        "billed."
    )


def _too_late() -> DeadlineExceededError:
    return DeadlineExceededError(
        "The answer was not ready within the request's deadline. The model may have been called "
        "and billed."
    )
