"""The answer cache: its modes, a request's wishes, and the places of answers."""

from dataclasses import dataclass
from enum import StrEnum


class CacheMode(StrEnum):
    """Determines which answers are kept."""

    OFF = "off"
    """Nobody's."""
    ASKED = "asked"
    """Answers to requests with ``max-age``, and to keys with the cache on."""
    ON = "on"


class CacheScope(StrEnum):
    """The callers who may be given a kept answer."""

    CALLER = "caller"
    """Only the caller who paid for the answer."""
    SHARED = "shared"
    """Everyone."""


@dataclass(frozen=True, slots=True)
class CacheWish:
    """The wish of a request's ``Cache-Control``."""

    fresh: bool = False
    """``no-cache``: the model is asked in any case."""
    kept: bool = True
    """False for ``no-store``: neither is a kept answer given, nor is this one kept."""
    max_age: float | None = None
    """Seconds that a kept answer may be old; None where the request does not say."""


NO_WISH = CacheWish()


@dataclass(frozen=True, slots=True)
class Place:
    """The key of an answer in a store. Digests only: it discloses neither caller nor question."""

    key: str
    owner: str
    model: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer is one that was kept."""

    age: float
    """Seconds since the model gave it."""
