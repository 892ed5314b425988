"""Callers as they are kept beside their work, which is done for them later. Pure."""

from collections.abc import Mapping
from typing import Any

from app.domain import metadata_filter
from app.domain.access import Caller, scope


def written(caller: Caller) -> dict[str, Any]:
    """Return all of ``caller`` but its id: what it may, and what holds for it."""
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
    """Return the caller of ``caller_id``; what older entries have not is as if it were not set."""
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
