"""Callers and their rights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.metadata_filter import MetadataFilter


class Scope(StrEnum):
    """A part of the service to which a caller can have access."""

    GENERATE = "generate"
    """Prompts and chat, in all dialects, and estimates."""
    TASKS = "tasks"
    """Ready-made tasks on pictures."""
    IMAGES = "images"
    """Preparing and inspecting pictures without the model."""
    FILES = "files"
    """The caller's own files and uploads."""
    BATCHES = "batches"
    """The caller's own batches; each row needs its endpoint's scope too."""
    ADMIN = "admin"
    """Every caller's usage, the answer cache, residency, audit and erasure."""
    METRICS = "metrics"
    """Prometheus metrics."""
    RAG = "rag"
    """Questions to knowledge bases, which reveal the content of their documents."""


_OWN = re.compile(r"rag:[A-Za-z0-9._-]{1,64}")


def scope(name: str) -> str:
    """Return the scope ``name``. Raises ValueError.

    Besides the members of `Scope` there are scopes that an operator defines for knowledge bases,
    such as ``rag:legal``.
    """
    if not (name in tuple(Scope) or _OWN.fullmatch(name)):
        raise ValueError(f"{name!r} is no scope; there are {', '.join(Scope)} and rag:<name>")
    return name


class Resource(StrEnum):
    """The resource that a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Tokens of prompt and answer; max_gen_len is reserved up front and settled afterwards."""
    TILES = "tiles"
    """560-pixel tiles for the vision encoder, 1 to 4 for each picture."""
    SPEND = "spend"
    """US dollars, at the listed price."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request."""

    id: str
    """Stable, and safe to log: a key's id or a token's subject."""
    scopes: frozenset[str]
    """Members of `Scope`, and scopes of knowledge bases: ``rag:`` and a name."""
    name: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    """Limits by resource or ``scope:resource``; each replaces the service's own of that name."""
    filter: MetadataFilter | None = None
    """The filter that a document has to pass for the caller to see it; None for no restriction."""
    guardrail: Mapping[str, str] = field(default_factory=dict)
    """Members of the guardrail policy that replace the service's own: ``input``, ``stream``, …"""
    cache: str | None = None
    """A `CacheMode` that replaces the service's own."""
    address: str = ""
    """The network address of an anonymous caller, for work that is done later."""


TOKEN_PREFIX = "sub:"  # noqa: S105 - the beginning of an id
"""The prefix of the ids of callers with a token, which no key's id has."""
ANONYMOUS = Caller("anonymous", frozenset(Scope))


@dataclass(frozen=True, slots=True)
class Call:
    """One caller's use of one scope."""

    caller: Caller
    scope: Scope | None = None


ANONYMOUS_CALL = Call(ANONYMOUS)
