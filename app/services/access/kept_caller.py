"""Callers as jobs and batches keep them: all that decides what they may do and see. Pure."""

from collections.abc import Mapping
from typing import Any

from app.domain import metadata_filter
from app.domain.access import Caller, scope


def written(caller: Caller) -> dict[str, Any]:
    """Return what keeps ``caller``, as JSON has it."""
    own = caller.filter
    return {
        "id": caller.id,
        "scopes": sorted(caller.scopes),
        "name": caller.name,
        "limits": dict(caller.limits),
        "filter": None if own is None else metadata_filter.written(own),
        "guardrail": dict(caller.guardrail),
        "cache": caller.cache,
    }


def read(kept: Mapping[str, Any]) -> Caller:
    """Return the caller that ``kept`` keeps; records of before have no filter and no policies."""
    own = kept.get("filter")
    return Caller(
        kept["id"],
        frozenset(scope(name) for name in kept["scopes"]),
        kept["name"],
        kept["limits"],
        filter=None if own is None else metadata_filter.parse(own),
        guardrail=kept.get("guardrail") or {},
        cache=kept.get("cache"),
    )
