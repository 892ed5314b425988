"""Counts calls against their callers' quotas, and decides what happens if they can't be counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import structlog

from app.domain import limit
from app.domain.access import Call, Resource, Scope
from app.domain.errors import LimiterUnavailableError
from app.domain.limit import Quota, QuotaStatus
from app.domain.ports import RateLimiter
from app.telemetry.metrics import Metrics

log = structlog.get_logger()


@dataclass(slots=True)
class Limits:
    """The service's quotas, which a caller's own may replace."""

    limiter: RateLimiter
    defaults: Mapping[str, str]
    metrics: Metrics
    fail_open: bool = True
    """Whether calls pass while they can't be counted."""
    _defaults: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        self._defaults = tuple(self.defaults.items())

    def quotas(self, call: Call, resource: Resource) -> tuple[Quota, ...]:
        """Return the quotas that count the use of ``resource`` by ``call``."""
        own = call.caller.limits
        configured = tuple({**self.defaults, **own}.items()) if own else self._defaults
        return _quotas(configured, resource, call.scope)

    async def take(self, call: Call, resource: Resource, amount: int) -> tuple[QuotaStatus, ...]:
        """Take ``amount`` of every quota, or raise RateLimited- or LimiterUnavailableError."""
        quotas = self.quotas(call, resource) if amount else ()
        if not quotas:
            return ()
        try:
            return await self.limiter.take(call.caller.id, quotas, amount)
        except LimiterUnavailableError as error:
            self._failed(error)
            if not self.fail_open:
                raise
            return ()

    async def settle(self, call: Call, taken: tuple[QuotaStatus, ...], difference: int) -> None:
        """Correct what was ``taken`` by ``difference``; a failure is only counted."""
        if not (taken and difference):
            return
        try:
            await self.limiter.settle(call.caller.id, taken, difference)
        except LimiterUnavailableError as error:
            self._failed(error)

    def _failed(self, error: LimiterUnavailableError) -> None:
        self.metrics.count("llama_vision_limiter_failures_total")
        log.warning("limits not counted", code=error.code, reason=error.detail)


class Unlimited(Limits):
    """Counts nothing, for dry runs."""

    def quotas(self, call: Call, resource: Resource) -> tuple[Quota, ...]:  # noqa: ARG002 - the parent's
        """Return none."""
        return ()


@lru_cache(maxsize=4096)  # asked several times a request, and few callers have limits of their own
def _quotas(
    configured: tuple[tuple[str, str], ...], resource: Resource, scope: Scope | None
) -> tuple[Quota, ...]:
    return tuple(
        quota
        for quota in limit.parse(dict(configured))
        if quota.resource is resource and _covers(quota, scope)
    )


def _covers(quota: Quota, scope: Scope | None) -> bool:
    # A scrape draws only on quotas named for it: it must not fail because callers used up theirs,
    # and least of all while the limiter is away.
    if quota.scope is None:
        return scope is not Scope.METRICS
    return quota.scope is scope
