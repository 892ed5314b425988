"""One deadline for everything that one request waits for, and an end to all of them."""

import asyncio
import math
from dataclasses import dataclass, field
from types import TracebackType

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

    def before(self, deadline: float) -> "Wait":
        """Raise DeadlineExceededError where the block isn't through at ``deadline`` (loop time).

        Or ShuttingDownError, where the service is.
        """
        return Wait(self, deadline)

    def watch(self, wait: asyncio.Timeout) -> None:
        """Have `close` end ``wait``."""
        self._waits.add(wait)

    def forget(self, wait: asyncio.Timeout) -> None:
        """Leave ``wait`` alone."""
        self._waits.discard(wait)


class Wait:
    """A block that is ended by its deadline or by a drain.

    Until it is entered it costs nothing. Once left it may be entered again.
    """

    __slots__ = ("_deadline", "_drain", "_timeout")

    def __init__(self, drain: Drain, deadline: float) -> None:
        self._drain = drain
        self._deadline = deadline

    async def __aenter__(self) -> None:
        if self._drain.closed:
            raise _shutting_down()
        self._timeout = asyncio.timeout_at(None if math.isinf(self._deadline) else self._deadline)
        await self._timeout.__aenter__()
        self._drain.watch(self._timeout)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drain.forget(self._timeout)
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            raise (_shutting_down() if self._drain.closed else _too_late()) from late


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
