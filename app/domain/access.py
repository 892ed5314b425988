"""Callers, and what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """A part of the service that a caller may be let into."""

    GENERATE = "generate"
    """Prompts and chat, also in the other dialects, and estimates."""
    TASKS = "tasks"
    """Ready-made tasks on pictures."""
    IMAGES = "images"
    """Preparing and inspecting pictures without the model."""
    ADMIN = "admin"
    """Every caller's usage; residency, audit, erasure."""
    METRICS = "metrics"
    """Prometheus metrics."""


class Resource(StrEnum):
    """The resource that a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Tokens of prompt and answer; max_gen_len is reserved up front and settled afterwards."""
    TILES = "tiles"
    """560-pixel tiles that the vision encoder works through, 1 to 4 a picture."""
    SPEND = "spend"
    """US dollars, at the listed price."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request."""

    id: str
    """Stable, and safe to log: a key's id or a token's subject."""
    scopes: frozenset[Scope]
    name: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    """Limits by resource or ``scope:resource``; each replaces the service's own of that name."""


ANONYMOUS = Caller("anonymous", frozenset(Scope))


@dataclass(frozen=True, slots=True)
class Call:
    """One caller's use of one scope."""

    caller: Caller
    scope: Scope | None = None


ANONYMOUS_CALL = Call(ANONYMOUS)
