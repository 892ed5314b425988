"""Quotas: amounts that a caller may use in a window of time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from app.domain.access import Resource, Scope

MICRO = 1_000_000
"""Spend is counted in millionths of a dollar, so that every amount is an integer."""

_MODEL = (Scope.GENERATE, Scope.TASKS)
COUNTED: Mapping[Resource, tuple[Scope, ...]] = {
    Resource.REQUESTS: (*_MODEL, Scope.IMAGES, Scope.METRICS, Scope.RAG),
    Resource.TOKENS: (*_MODEL, Scope.RAG),
    Resource.TILES: (*_MODEL, Scope.RAG),
    Resource.SPEND: (*_MODEL, Scope.RAG),
}
"""Scopes in which each resource is used; a limit for another scope would never count."""

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(
    r"\s*(?P<amount>\d+(\.\d+)?)\s*/\s*(?P<many>\d+)?\s*(?P<unit>second|minute|hour|day)s?\s*"
)


@dataclass(frozen=True, slots=True)
class Quota:
    """An amount for each window of time."""

    name: str
    """The configured name: ``requests``, or ``tasks:requests`` for one scope."""
    resource: Resource
    scope: Scope | None
    amount: int
    """The amount in the resource's unit; spend in millionths of a dollar."""
    window: int
    """Length of the window in seconds."""

    def __str__(self) -> str:
        amount = self.amount / MICRO if self.resource is Resource.SPEND else self.amount
        return f"{self.name}: {amount:g} per {self.window} s"


class QuotaStatus(NamedTuple):
    """The remainder of one quota of a caller, as of a request."""

    quota: Quota
    remaining: int
    reset: float
    """Seconds until the window ends."""
    ends: float
    """The time of the window's end by the limiter's clock, which identifies the window."""


def parse(limits: Mapping[str, str]) -> tuple[Quota, ...]:
    """Parse ``{"requests": "10/second; 300/minute", "tasks:spend": "0.5/day"}``.

    Raises ValueError that names the faulty entry.
    """
    return tuple(
        _quota(name, rate) for name, rates in limits.items() for rate in str(rates).split(";")
    )


def _quota(name: str, rate: str) -> Quota:
    scope, _, resource = name.rpartition(":")
    match = _RATE.fullmatch(rate)
    try:
        parsed = Resource(resource), Scope(scope) if scope else None
    except ValueError as error:
        raise ValueError(
            f"{name}: is not one of {', '.join(Resource)}, alone or behind a scope and a colon"
        ) from error
    if parsed[1] is not None and parsed[1] not in COUNTED[parsed[0]]:
        scopes = ", ".join(COUNTED[parsed[0]])
        raise ValueError(f"{name}: would never count; it can be limited for {scopes}")
    if match is None:
        raise ValueError(f"{name}: {rate.strip()!r} is not a rate such as 10/second or 5/2 hours")
    amount = Decimal(match["amount"]) * (MICRO if parsed[0] is Resource.SPEND else 1)
    if amount != int(amount):
        raise ValueError(f"{name}: {rate.strip()!r} is not a whole number")
    window = int(match["many"] or 1) * _SECONDS[match["unit"]]
    return Quota(name, *parsed, int(amount), window)
