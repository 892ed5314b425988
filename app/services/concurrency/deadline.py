"""One deadline for all waits of a request, and the end of all waits at shutdown."""

import asyncio
import math
from dataclasses import dataclass, field

from app.domain.errors import DeadlineExceededError, NotReadyError, ShuttingDownError


@dataclass(slots=True)
class Drain:
    """The service's shutdown: first readiness fails, later the remaining waits are ended."""

    draining: bool = False
    closed: bool = False
    waits: "set[Wait]" = field(default_factory=set)
    """The waits in progress."""

    def begin(self) -> None:
        """Fail readiness, so that load balancers send no new requests."""
        self.draining = True

    def close(self) -> None:
        """End the remaining waits with ShuttingDownError."""
        self.closed = True
        for wait in tuple(self.waits):
            wait.end()

    async def check(self) -> None:
        """Raise NotReadyError while the service drains; see `app.domain.ports.Readiness`."""
        if self.draining:
            raise NotReadyError("The service is shutting down.")

    def before(self, deadline: float) -> "Wait":
        """Raise DeadlineExceededError if the block has not ended by ``deadline`` (loop time).

        Raises ShuttingDownError if the service shuts down.
        """
        return Wait(self, deadline)


class Wait:
    """A block that is ended by its deadline or by a drain.

    Until it is entered it costs nothing. Once left it may be entered again. Works as
    `asyncio.timeout_at` does; on top of that a block took 22 calls of Python functions, so it takes
    16, and each request enters two or three.
    """

    __slots__ = ("_cancelling", "_deadline", "_drain", "_ended", "_task", "_timer")

    def __init__(self, drain: Drain, deadline: float) -> None:
        self._drain = drain
        self._deadline = deadline

    async def __aenter__(self) -> None:
        if self._drain.closed:
            raise _shutting_down()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task, self._cancelling, self._ended = task, task.cancelling(), False
        timed = not math.isinf(self._deadline)
        self._timer = loop.call_at(self._deadline, self.end) if timed else None
        self._drain.waits.add(self)

    def end(self) -> None:
        """End the block now."""
        if not self._ended:
            self._ended = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        self._drain.waits.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        # Another cancellation of the task meanwhile takes precedence.
        alone = self._ended and self._task.uncancel() <= self._cancelling
        if alone and kind is asyncio.CancelledError:
            raise (_shutting_down() if self._drain.closed else _too_late()) from error


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
