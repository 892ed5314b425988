"""Retries, in one place: which error how often is data; a budget keeps storms from doubling."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import stamina

from app.domain import errors
from app.domain.errors import UpstreamError
from app.domain.generation import Completion, ModelRequest, StreamParts, Terms
from app.domain.ports import VisionModel
from app.telemetry import current

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule:
    """How often a call that met an error is made, and whether it may have been billed."""

    attempts: float
    """All in all; infinite where the deadline is the only bound."""
    billed: bool = False
    """Retried only for callers who allow a second bill."""


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
    """Waits between attempts: exponential, with jitter. Seconds."""

    initial: float = 0.2
    longest: float = 20
    jitter: float = 0.2


@dataclass(frozen=True, slots=True)
class Retries:
    """Which errors are worth another attempt, and when it is made."""

    rules: Mapping[type[UpstreamError], Rule] = field(default_factory=lambda: RULES)
    backoff: Backoff = Backoff()


DEFAULT = Retries()


@dataclass(slots=True)
class RetryBudget:
    """Process-wide: retries may be a tenth of the calls, and a few more to begin with."""

    earned_per_call: float = 0.1
    most: float = 20
    left: float = 20

    def earn(self) -> None:
        """Count a call."""
        self.left = min(self.most, self.left + self.earned_per_call)

    def spend(self) -> bool:
        """Take a retry out, or tell that there is none."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(frozen=True, slots=True)
class RetriedModel:
    """Calls again what is worth it. Never after a stream's first event."""

    inner: VisionModel
    budget: RetryBudget
    retries: Retries = DEFAULT

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request``, or raise the last attempt's error."""
        return await self._attempting(request.terms, lambda: self.inner.generate(request))

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream; entering is what is tried again."""
        async with AsyncExitStack() as stack:
            yield await self._attempting(
                request.terms, lambda: stack.enter_async_context(self.inner.stream(request))
            )

    async def _attempting(self, terms: Terms, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make the first attempt; only where it fails is there a schedule to keep."""
        self.budget.earn()
        try:
            return await attempt()
        except UpstreamError as error:
            return await self._again(terms, attempt, error)

    async def _again(
        self, terms: Terms, attempt: Callable[[], Awaitable[T]], first: UpstreamError
    ) -> T:
        met: Counter[Rule] = Counter()

        def worth_another(error: Exception) -> bool | float:
            return self._next(error, terms, met)

        async for context in stamina.retry_context(
            on=worth_another,
            attempts=None,
            timeout=None,
            wait_initial=self.retries.backoff.initial,
            wait_max=self.retries.backoff.longest,
            wait_jitter=self.retries.backoff.jitter,
        ):
            with context:
                if context.num == 1:
                    raise first
                current().retries += 1
                return await attempt()
        raise AssertionError("stamina ended without an outcome")

    def _next(self, error: Exception, terms: Terms, met: Counter[Rule]) -> bool | float:
        """Return whether to try again, or the seconds after which to."""
        rule = self.retries.rules.get(type(error)) if isinstance(error, UpstreamError) else None
        if rule is None or (rule.billed and not terms.second_bill):
            return False
        # By rule: what was waited for a model that loads is not taken from a throttle's attempts,
        # and a second bill is one, whichever error caused the first.
        met[rule] += 1
        wait = self._wait(error, terms)
        if met[rule] >= rule.attempts or wait is False:
            return False
        # An imported model that loads is one long wait, not a storm.
        return wait if math.isinf(rule.attempts) or self.budget.spend() else False

    def _wait(self, error: Exception, terms: Terms) -> bool | float:
        after = error.retry_after if isinstance(error, UpstreamError) else None
        if after is None:
            return True
        left = terms.deadline - asyncio.get_running_loop().time()
        return after if after < left else False
