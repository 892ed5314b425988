"""A caller's JSON Schema, made safe: bounded, without references, nothing fetched or recursive."""

from collections.abc import Iterator
from typing import Any

MAX_NODES = 400
"""Schemas within the schema, references resolved: more would not fit a prompt for an 11B model."""
MAX_DEPTH = 8
MAX_PATTERNS = 50
"""Patterns, references resolved; a large one takes a millisecond to compile."""
MAX_WEIGHT = 200_000
"""Of the whole, references resolved, as `weight` counts it: a small schema may say a long text a
hundred times over."""
KEYWORDS = frozenset(
    {"type", "title", "description", "examples", "default", "enum", "const"}
    | {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}
    | {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "anyOf", "oneOf", "allOf"}
    | {"format", "pattern", "minLength", "maxLength"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
_OUTER = frozenset({"$schema", "$id", "$comment", "$defs", "definitions"})
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")

Schema = dict[str, Any]


class SchemaError(ValueError):
    """A caller's schema can't be used; the message says what would be."""


def plain(schema: Schema) -> Schema:
    """Return ``schema`` with its own references resolved, or raise SchemaError."""
    result = _Resolver(schema).resolve(schema, 0, ())
    if result.get("type") != "object" or not result.get("properties"):
        raise SchemaError("has to describe an object with properties")
    return result


class _Resolver:
    """Copies a schema piece by piece and counts the pieces."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._nodes = 0
        self._patterns = 0
        self._weight = 0

    def resolve(self, part: object, depth: int, within: tuple[str, ...]) -> Schema:
        """Return ``part`` resolved; ``within`` are the references on the way to it."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise SchemaError(f"has more than {MAX_NODES} parts, references resolved")
        if depth > MAX_DEPTH:
            raise SchemaError(f"is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(part, dict):
            raise SchemaError("has a part that is no object; each part has to be a schema")
        if "$ref" in part:
            return self._referred(part, depth, within)
        return dict(self._members(part, depth, within))

    def _members(
        self, part: Schema, depth: int, within: tuple[str, ...]
    ) -> Iterator[tuple[str, Any]]:
        for key, value in part.items():
            if key in _OUTER:
                continue
            if key not in KEYWORDS:
                raise SchemaError(f"uses {key[:40]!r}; known are {', '.join(sorted(KEYWORDS))}")
            yield key, self._member(key, value, depth, within)
            self._patterns += key == "pattern"
            if self._patterns > MAX_PATTERNS:
                raise SchemaError(f"has more than {MAX_PATTERNS} patterns")

    def _member(self, key: str, value: object, depth: int, within: tuple[str, ...]) -> object:
        if key == "properties" and isinstance(value, dict):
            return {name: self.resolve(part, depth + 1, within) for name, part in value.items()}
        if key in _LISTS and isinstance(value, list):
            return [self.resolve(part, depth + 1, within) for part in value]
        if key in _SINGLE and not isinstance(value, bool):
            return self.resolve(value, depth + 1, within)
        self._weight += weight(value, MAX_WEIGHT)
        if self._weight > MAX_WEIGHT:
            raise SchemaError("has longer texts and lists than fit a prompt, references resolved")
        return value

    def _referred(self, part: Schema, depth: int, within: tuple[str, ...]) -> Schema:
        reference = part["$ref"]
        if not isinstance(reference, str) or not reference.startswith(
            ("#/$defs/", "#/definitions/")
        ):
            raise SchemaError("refers outside itself; accepted are references to #/$defs/…")
        if reference in within:
            raise SchemaError(f"refers to itself by {reference[:80]}; it has to end somewhere")
        _, place, name = reference.split("/", 2)
        target = self._root.get(place)
        if not isinstance(target, dict) or name not in target:
            raise SchemaError(f"refers to {reference[:80]}, which is not there")
        beside = {key: value for key, value in part.items() if key != "$ref"}
        return {
            **self.resolve(target[name], depth, (*within, reference)),
            **self.resolve(beside, depth, within),
        }


def weight(value: object, most: int) -> int:
    """Return the characters of ``value`` and 4 for each text, number, list and map in it.

    Counts no further than just beyond ``most``.
    """
    total, parts = 0, [value]
    while parts and total <= most:
        part = parts.pop()
        total += 4
        if isinstance(part, dict):
            total += sum(map(len, part))
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
        elif isinstance(part, str):
            total += len(part)
    return total


def nullable(schema: Schema) -> Schema:
    """Return a plain schema in which every property may also be null: a picture may not tell it."""
    result = dict(schema)
    if isinstance(schema.get("properties"), dict):
        result["properties"] = {
            name: _or_null(nullable(part)) for name, part in schema["properties"].items()
        }
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            result[key] = [nullable(part) for part in schema[key]]
    if isinstance(schema.get("items"), dict):
        result["items"] = nullable(schema["items"])
    return result


def _or_null(schema: Schema) -> Schema:
    kind = schema.get("type")
    if kind is None or "const" in schema or "allOf" in schema:
        return schema if not schema else {"anyOf": [schema, {"type": "null"}]}
    kinds = kind if isinstance(kind, list) else [kind]
    result = {**schema, "type": [*kinds, *(["null"] if "null" not in kinds else [])]}
    if "enum" in schema and None not in schema["enum"]:
        result["enum"] = [*schema["enum"], None]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            result[key] = [*schema[key], {"type": "null"}]
    return result
