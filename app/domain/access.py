"""Callers and their rights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.metadata_filter import MetadataFilter


class Scope(StrEnum):
    """A part of the service that a caller may be let into."""

    GENERATE = "generate"
    """Prompts and chat, also in the other dialects, and estimates."""
    TASKS = "tasks"
    """Ready-made tasks on pictures."""
    IMAGES = "images"
    """Preparing and inspecting pictures without the model."""
    FILES = "files"
    """Files and uploads of one's own."""
    BATCHES = "batches"
    """Batches of one's own; each row needs its endpoint's scope too."""
    ADMIN = "admin"
    """Every caller's usage, and the answer cache; residency, audit, erasure."""
    METRICS = "metrics"
    """Prometheus metrics."""
    RAG = "rag"
    """Questions to knowledge bases, which show what is in their documents."""


_OWN = re.compile(r"rag:[A-Za-z0-9._-]{1,64}")


def scope(name: str) -> str:
    """Return the scope called ``name``, or raise ValueError.

    Beside those of `Scope` there are those that an operator makes up for knowledge bases:
    ``rag:legal``.
    """
    return name if _OWN.fullmatch(name) else Scope(name)


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
    scopes: frozenset[str]
    """Members of `Scope`, and those of knowledge bases, called ``rag:`` and a name."""
    name: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    """Limits by resource or ``scope:resource``; each replaces the service's own of that name."""
    filter: MetadataFilter | None = None
    """Passed by every document that the caller may see in a knowledge base."""
    guardrail: Mapping[str, str] = field(default_factory=dict)
    """Members of the guardrail policy that replace the service's own: ``input``, ``stream``, …"""
    cache: str | None = None
    """A `CacheMode` in place of the service's own."""
    address: str = ""
    """The network address of a caller who is not known otherwise, where work is kept for later."""


TOKEN_PREFIX = "sub:"  # noqa: S105 - the beginning of an id
"""The beginning of the ids of callers who came with a token; no key's id begins so."""
ANONYMOUS = Caller("anonymous", frozenset(Scope))


@dataclass(frozen=True, slots=True)
class Call:
    """One caller's use of one scope."""

    caller: Caller
    scope: Scope | None = None


ANONYMOUS_CALL = Call(ANONYMOUS)
