"""A circuit breaker: a target that keeps failing is not called for a while."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain import errors
from app.domain.errors import CircuitOpenError, UpstreamError
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.ports import VisionModel

# Errors that say nothing about the target's health: of the request, of quotas, of cold starts.
_HEALTHY = (
    errors.UpstreamValidationError,
    errors.ModelThrottledError,
    errors.UpstreamQuotaError,
    errors.ModelLoadingError,
)


REMEMBERED = 60
"""Seconds for which a failure represents the target's state; then a call decides again."""


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One call is let through as a probe."""


@dataclass(slots=True)
class Breaker:
    """Opens after several failures in a row; later a single call decides whether it closes."""

    threshold: int = 5
    """Number of failures in a row."""
    reset: float = 15
    """Seconds for which it stays open."""
    state: BreakerState = BreakerState.CLOSED
    _failures: int = 0
    _opened: float = field(default=0)
    _failed: float = field(default=0)
    _lasting: tuple[type[UpstreamError], str] | None = None
    """The last error and its detail, if waiting does not help."""

    @property
    def lasting(self) -> type[UpstreamError] | None:
        """The error of the target's last call, if waiting does not help."""
        recent = _now() - self._failed < REMEMBERED
        return self._lasting[0] if self._lasting and self._failures and recent else None

    def enter(self) -> bool:
        """Let a call through, and return whether it is the deciding one.

        Raises CircuitOpenError, or the target's last error where waiting does not help.
        """
        left = self._opened + self.reset - _now()
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN and left <= 0:
            self.state = BreakerState.HALF_OPEN
            return True
        if self._lasting is not None:
            cls, detail = self._lasting
            raise cls(detail)
        raise CircuitOpenError(
            "The model failed repeatedly and is not called for a while.",
            retry_after=max(left, 1),
        )

    def succeeded(self) -> None:
        """Count an answer."""
        self.state, self._failures = BreakerState.CLOSED, 0

    def failed(self, error: UpstreamError) -> None:
        """Count a failure."""
        self._failures += 1
        self._failed = _now()
        # A call that was never made must not be reported as possibly billed.
        passing = error.retryable or error.billed
        # Not the error itself, whose traceback would keep the request alive.
        self._lasting = None if passing else (type(error), error.detail)
        if self.state is BreakerState.HALF_OPEN or self._failures >= self.threshold:
            self.state, self._opened = BreakerState.OPEN, _now()

    def abandoned(self, *, deciding: bool) -> None:
        """Forget a cancelled call; if it was the probe, the next one will be."""
        if deciding and self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.OPEN


_now = time.monotonic


@dataclass(frozen=True, slots=True)
class CircuitBreakerModel:
    """Passes calls on while the breaker is closed."""

    inner: VisionModel
    breaker: Breaker

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request``, or raise at once as `Breaker.enter` does."""
        deciding = self.breaker.enter()
        try:
            completion = await self.inner.generate(request)
        except BaseException as error:
            self._judge(error, deciding=deciding)
            raise
        self.breaker.succeeded()
        return completion

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream; a stream that begins counts as answered."""
        stream = self.inner.stream(request)
        deciding = self.breaker.enter()
        try:
            parts = await stream.__aenter__()
        except BaseException as error:
            self._judge(error, deciding=deciding)
            raise
        self.breaker.succeeded()
        try:
            yield parts
        finally:
            await stream.__aexit__(None, None, None)

    def _judge(self, error: BaseException, *, deciding: bool) -> None:
        if isinstance(error, _HEALTHY):
            self.breaker.succeeded()
        elif isinstance(error, UpstreamError):
            self.breaker.failed(error)
        else:
            self.breaker.abandoned(deciding=deciding)
