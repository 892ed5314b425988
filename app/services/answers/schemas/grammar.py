"""Reduces a schema to what an upstream compiles to a grammar: small and without explanations."""

from collections.abc import Iterator
from typing import Any

from app.services.answers.schemas.schema import Schema

MOST_PARTS = 120
"""Maximum number of subschemas, since constrained decoding starts slowly on large schemas."""
DEEPEST = 5
"""Maximum nesting of objects and lists."""
_EXPLAINING = frozenset({"title", "description", "default", "examples"})
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")


def grammar(schema: Schema) -> Schema:
    """Return the schema for the upstream to enforce, made of a resolved ``schema``.

    It has no explanations and allows only the named keys. Whatever it accepts is also valid under
    ``schema``.
    """
    return _part(schema, closed=True)


def _part(part: Schema, *, closed: bool) -> Schema:
    result = {key: value for key, value in part.items() if key not in _EXPLAINING}
    # Parts that apply to an object together must not forbid each other's keys.
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
        # Nullable properties are required, since an omitted one may just have been forgotten.
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
    """Return whether ``schema`` is small enough to be compiled."""
    parts = list(_depths(schema, 0))
    return len(parts) <= MOST_PARTS and max(parts) <= DEEPEST


def _depths(part: Any, depth: int) -> Iterator[int]:  # noqa: ANN401 - any JSON value
    """Yield each subschema's depth; alternatives have the depth of their parent."""
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
