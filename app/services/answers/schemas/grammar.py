"""A schema as an upstream compiles it to a grammar: flat and small, nothing that only explains."""

from collections.abc import Iterator
from typing import Any

from app.services.answers.schemas.schema import Schema

MOST_PARTS = 120
"""Schemas within the schema: constrained decoding is slow to begin on large ones."""
DEEPEST = 5
"""Levels of objects and lists."""
_EXPLAINING = frozenset({"title", "description", "default", "examples"})
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")


def grammar(schema: Schema) -> Schema:
    """Return ``schema``, references resolved, as the upstream is to hold an answer to it.

    Without words that only explain, and with no other keys than those named. What it accepts is
    valid under ``schema`` as well.
    """
    return _part(schema, closed=True)


def _part(part: Schema, *, closed: bool) -> Schema:
    result = {key: value for key, value in part.items() if key not in _EXPLAINING}
    # Of parts that an object has to satisfy together none may forbid the others' keys.
    combined = any(key in result for key in ("anyOf", "oneOf", "allOf"))
    for key in _LISTS:
        if isinstance(result.get(key), list):
            alone = key != "allOf" and not result.get("properties")
            result[key] = [_part(one, closed=closed and alone) for one in result[key]]
    for key in _SINGLE:
        if isinstance(result.get(key), dict):
            result[key] = _part(result[key], closed=True)
    if isinstance(properties := result.get("properties"), dict):
        result["properties"] = {name: _part(one, closed=True) for name, one in properties.items()}
        if properties and closed and not combined:
            result.setdefault("additionalProperties", False)
        # What may be null is written: what is left out can't be told from what was forgotten.
        required = dict.fromkeys(result.get("required", ()))
        required |= dict.fromkeys(name for name, one in properties.items() if _may_be_null(one))
        if required:
            result["required"] = list(required)
    return result


def _may_be_null(part: Any) -> bool:  # noqa: ANN401 - any JSON value
    if not isinstance(part, dict):
        return False
    if part.get("type") == "null" or "null" in (part.get("type") or ()):
        return "enum" not in part or None in part["enum"]
    return any(map(_may_be_null, (*part.get("anyOf", ()), *part.get("oneOf", ()))))


def small(schema: Schema) -> bool:
    """Whether ``schema`` is worth compiling."""
    parts = list(_depths(schema, 0))
    return len(parts) <= MOST_PARTS and max(parts) <= DEEPEST


def _depths(part: Any, depth: int) -> Iterator[int]:  # noqa: ANN401 - any JSON value
    """Yield each part's depth; alternatives stand as deep as what they are of."""
    if not isinstance(part, dict):
        return
    yield depth
    for key in _LISTS:
        below = depth + (key == "prefixItems")
        for one in part.get(key, ()):
            yield from _depths(one, below)
    for key in _SINGLE:
        yield from _depths(part.get(key), depth + 1)
    for one in part.get("properties", {}).values():
        yield from _depths(one, depth + 1)
