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
    """The callers who may get a cached answer."""

    CALLER = "caller"
    """Only the caller who paid for the answer."""
    SHARED = "shared"
    """Everyone."""


@dataclass(frozen=True, slots=True)
class CacheWish:
    """The wish of a request's ``Cache-Control``."""

    fresh: bool = False
    """Whether the model is called in any case (``no-cache``)."""
    kept: bool = True
    """False for ``no-store``: no cached answer is used, and this one is not cached."""
    max_age: float | None = None
    """Maximum age of a cached answer in seconds; None if the request has no limit."""


NO_WISH = CacheWish()


@dataclass(frozen=True, slots=True)
class Place:
    """The key of an answer in a store. Digests only: it discloses neither caller nor question."""

    key: str
    owner: str
    model: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Marks an answer from the cache."""

    age: float
    """Seconds since the model generated the answer."""
