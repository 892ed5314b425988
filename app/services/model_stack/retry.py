"""Retries in one place: a table says which errors and how often, and a budget prevents storms."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.domain import errors
from app.domain.errors import ModelLoadingError, UpstreamError
from app.domain.generation import CallContext, Completion, ModelRequest, StreamParts
from app.domain.ports import VisionModel
from app.telemetry import current

T = TypeVar("T")

LOADING_POLL = 10
"""Maximum seconds between two attempts while a model is loading."""
LOADING_LEAST = 1
"""Seconds that an attempt needs to be worth it then. One that the deadline cuts off is reported as
too late and possibly billed, and not as a start in progress."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The attempts that an error allows, and whether the failed call may have been billed."""

    attempts: float
    """Maximum attempts; infinite if only the deadline bounds them."""
    billed: bool = False
    """Whether it is retried only for callers who allow a second bill."""


# Errors that stand here are retried, no others. docs/reliability.md shows this table.
RULES: dict[type[UpstreamError], Rule] = {
    errors.ModelThrottledError: Rule(4),
    errors.ModelOverloadedError: Rule(4),
    errors.UpstreamUnavailableError: Rule(4),
    errors.UpstreamUnreachableError: Rule(3),
    errors.ModelLoadingError: Rule(math.inf),
    errors.ModelFailedError: Rule(2),
    errors.ModelTimeoutError: Rule(2, billed=True),
    errors.UpstreamTimeoutError: Rule(2, billed=True),
    errors.UpstreamDisconnectedError: Rule(2, billed=True),
}


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits between attempts with jitter, in seconds."""

    initial: float = 0.2
    longest: float = 20
    jitter: float = 0.2

    def wait(self, failures: int) -> float:
        """Return the wait after this many failures."""
        # The exponent is bounded, as 2.0 ** 1024 would overflow.
        grown = self.initial * 2.0 ** min(failures - 1, 32)
        return min(self.longest, grown + random.uniform(0, self.jitter))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class Retries:
    """The errors that are retried, and the waits between attempts."""

    rules: Mapping[type[UpstreamError], Rule] = field(default_factory=lambda: RULES)
    backoff: Backoff = Backoff()


DEFAULT = Retries()


@dataclass(slots=True)
class RetryBudget:
    """A process-wide budget: retries may be a tenth of the calls, with a few more at the start."""

    earned_per_call: float = 0.1
    most: float = 20
    left: float = 20

    def earn(self) -> None:
        """Count a call."""
        self.left = min(self.most, self.left + self.earned_per_call)

    def spend(self) -> bool:
        """Spend a retry, and return whether one was left."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Attempts:
    """Repeats a failed call if that is worthwhile; wrappers of ports inherit from this."""

    __slots__ = ()
    budget: RetryBudget
    retries: Retries

    def count_retry(self) -> None:
        """Count a call that repeats a failed one."""
        current().retries += 1

    async def attempting(self, call_context: CallContext, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make the first attempt; a schedule exists only if it fails."""
        self.budget.earn()
        try:
            return await attempt()
        except UpstreamError as error:
            failed = error
        met: Counter[Rule] = Counter()
        while (wait := self._next(failed, call_context, met)) is not None:
            await asyncio.sleep(wait)
            self.count_retry()
            try:
                return await attempt()
            except UpstreamError as error:
                failed = error
        raise failed

    def _next(
        self, error: UpstreamError, call_context: CallContext, met: Counter[Rule]
    ) -> float | None:
        """Return the seconds until the next attempt; None if there is none."""
        rule = self.retries.rules.get(type(error))
        if rule is None or (rule.billed and not call_context.second_bill):
            return None
        # Counted by rule: waiting for a model to load does not use up a throttled call's attempts,
        # and a second bill is counted once, whichever error caused the first.
        met[rule] += 1
        wait = self._wait(error, call_context, met.total())
        if met[rule] >= rule.attempts or wait is None:
            return None
        # Waiting for an imported model to load does not spend the retry budget.
        return wait if math.isinf(rule.attempts) or self.budget.spend() else None

    def _wait(self, error: UpstreamError, call_context: CallContext, failures: int) -> float | None:
        """Return the seconds to wait; None if the answer would come too late."""
        wait = self.retries.backoff.wait(failures)
        left = call_context.deadline - asyncio.get_running_loop().time()
        if isinstance(error, ModelLoadingError):
            # It may be ready earlier than expected, so it is polled more often than clients are
            # told to. A caller with no time left gets this error rather than an expired deadline.
            wait = min(wait, LOADING_POLL)
            left -= LOADING_LEAST
        elif error.retry_after is None:
            return wait
        else:
            wait = error.retry_after
        return wait if wait < left else None


@dataclass(frozen=True, slots=True)
class RetryModel(Attempts):
    """Repeats failed calls if that is worthwhile, but never after a stream's first event."""

    inner: VisionModel
    budget: RetryBudget
    retries: Retries = DEFAULT

    def generate(self, request: ModelRequest) -> Coroutine[Any, Any, Completion]:
        """Answer ``request``, or raise the last attempt's error."""
        return self.attempting(request.call_context, lambda: self.inner.generate(request))

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream; only entering is repeated."""
        async with AsyncExitStack() as stack:
            yield await self.attempting(
                request.call_context, lambda: stack.enter_async_context(self.inner.stream(request))
            )
