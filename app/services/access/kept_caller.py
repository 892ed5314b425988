"""Callers as they are stored with their deferred work. Pure."""

from collections.abc import Mapping
from typing import Any

from app.domain import metadata_filter
from app.domain.access import Caller, scope


def written(caller: Caller) -> dict[str, Any]:
    """Return the rights and limits of ``caller``, without its id."""
    own = caller.filter
    return {
        "scopes": sorted(caller.scopes),
        "name": caller.name,
        "limits": dict(caller.limits),
        "filter": None if own is None else metadata_filter.written(own),
        "guardrail": dict(caller.guardrail),
        "cache": caller.cache,
        "address": caller.address,
    }


def read(caller_id: str, kept: Mapping[str, Any]) -> Caller:
    """Return the caller of ``caller_id``; fields that older entries lack are unset."""
    own = kept.get("filter")
    return Caller(
        caller_id,
        frozenset(scope(name) for name in kept["scopes"]),
        kept["name"],
        kept["limits"],
        None if own is None else metadata_filter.parse(own),
        kept.get("guardrail", {}),
        kept.get("cache"),
        kept.get("address", ""),
    )
