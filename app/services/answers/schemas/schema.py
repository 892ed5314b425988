"""Makes a caller's JSON Schema safe: bounded, with references resolved, and nothing fetched.

Recursive references are expanded a few levels deep and end there, so that an answer under the
result is also valid under the caller's schema.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

MAX_NODES = 400
"""Maximum subschemas after resolution; more would not fit a prompt for an 11B model."""
MAX_DEPTH = 8
LEVELS = (3, 2, 1)
"""Levels of recursion to expand a reference to; the largest that fits is used."""
MAX_PATTERNS = 50
"""Maximum patterns after resolution; a large pattern takes a millisecond to compile."""
MAX_WEIGHT = 200_000
"""Maximum `weight` after resolution; a small schema may repeat a long text a hundred times."""
KEYWORDS = frozenset(
    {"type", "title", "description", "examples", "default", "enum", "const"}
    | {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}
    | {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "anyOf", "oneOf", "allOf"}
    | {"format", "pattern", "minLength", "maxLength"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
_OUTER = frozenset({"$schema", "$id", "$comment", "$defs", "definitions"})
_ANNOTATIONS = frozenset(
    {"deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding", "contentSchema"}
    # OpenAPI's discriminator names the member that tells the parts of a `oneOf` apart.
    | {"discriminator", "example", "externalDocs", "xml"}
)
"""Keywords that libraries write but that refuse no value."""
_NEUTRAL: tuple[tuple[str, object], ...] = (("propertyNames", {"type": "string"}),)
"""Keywords with a value that refuses nothing."""
_CHOICES = ("anyOf", "oneOf")
_LISTS = (*_CHOICES, "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
ROOT = "#"

Schema = dict[str, Any]


class SchemaError(ValueError):
    """A caller's schema can't be used; the message says why and what is accepted."""


class _EndlessError(SchemaError):
    """A part refers to itself more often than is expanded."""


def plain(schema: Schema) -> Schema:
    """Return ``schema`` with its internal references resolved, or raise SchemaError."""
    result = _resolved(schema)
    if result.get("type") != "object" or not result.get("properties"):
        raise SchemaError("has to describe an object with properties")
    return result


def _resolved(schema: Schema) -> Schema:
    *deeper, least = LEVELS
    for levels in deeper:
        with suppress(SchemaError):
            return _Resolver(schema, levels).resolve(schema, 0, (ROOT,))
    return _Resolver(schema, least).resolve(schema, 0, (ROOT,))


class _Resolver:
    """Copies a schema part by part and enforces the limits."""

    def __init__(self, root: Schema, levels: int) -> None:
        self._root = root
        self._levels = levels
        self._nodes = 0
        self._patterns = 0
        self._weight = 0

    def resolve(self, part: object, depth: int, within: tuple[str, ...]) -> Schema:
        """Return ``part`` resolved; ``within`` are the references that led to it."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise SchemaError(f"has more than {MAX_NODES} parts, references resolved")
        if depth > MAX_DEPTH:
            raise SchemaError(f"is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(part, dict):
            raise SchemaError("has a part that is not an object; each part has to be a schema")
        if "$ref" in part:
            return self._referred(part, depth, within)
        members = dict(self._members(part, depth, within))
        return _closed(part, members)

    def _members(
        self, part: Schema, depth: int, within: tuple[str, ...]
    ) -> Iterator[tuple[str, Any]]:
        for key, value in part.items():
            if key in _OUTER or key in _ANNOTATIONS or (key, value) in _NEUTRAL:
                continue
            if key not in KEYWORDS:
                raise SchemaError(f"uses {key[:40]!r}; known are {', '.join(sorted(KEYWORDS))}")
            try:
                yield key, self._member(key, value, depth, within)
            except _EndlessError:
                if key not in _SINGLE:
                    raise
            self._patterns += key == "pattern"
            if self._patterns > MAX_PATTERNS:
                raise SchemaError(f"has more than {MAX_PATTERNS} patterns")

    def _member(self, key: str, value: object, depth: int, within: tuple[str, ...]) -> object:
        if key == "properties" and isinstance(value, dict):
            return dict(self._ending(value.items(), depth, within))
        if key in _CHOICES and isinstance(value, list):
            choices = [part for _, part in self._ending(enumerate(value), depth, within)]
            if value and not choices:
                raise _EndlessError("refers to itself by each choice; it has to end somewhere")
            return choices
        if key in _LISTS and isinstance(value, list):
            return [self.resolve(part, depth + 1, within) for part in value]
        if key in _SINGLE and not isinstance(value, bool):
            return self.resolve(value, depth + 1, within)
        self._weight += weight(value, MAX_WEIGHT)
        if self._weight > MAX_WEIGHT:
            raise SchemaError("has longer texts and lists than fit a prompt, references resolved")
        return value

    def _ending(
        self, parts: Iterable[tuple[Any, object]], depth: int, within: tuple[str, ...]
    ) -> Iterator[tuple[Any, Schema]]:
        """Yield ``parts`` resolved, without those that recurse endlessly."""
        for name, part in parts:
            with suppress(_EndlessError):
                yield name, self.resolve(part, depth + 1, within)

    def _referred(self, part: Schema, depth: int, within: tuple[str, ...]) -> Schema:
        reference = part["$ref"]
        if not isinstance(reference, str):
            raise SchemaError("has a reference that is not a string")
        if within.count(reference) >= self._levels:
            raise _EndlessError(f"refers to itself by {reference[:80]}; it has to end somewhere")
        target = self._target(reference)
        if target is part:
            raise SchemaError(f"refers to itself by {reference[:80]}; it has to end somewhere")
        beside = {key: value for key, value in part.items() if key != "$ref"}
        return {
            **self.resolve(target, depth, (*within, reference)),
            **self.resolve(beside, depth, within),
        }

    def _target(self, reference: str) -> object:
        if reference == ROOT:
            return self._root
        if not reference.startswith(("#/$defs/", "#/definitions/")):
            raise SchemaError("refers outside itself; references to # and #/$defs/… are accepted")
        _, place, name = reference.split("/", 2)
        target = self._root.get(place)
        if not isinstance(target, dict) or name not in target:
            raise SchemaError(f"refers to {reference[:80]}, which is not there")
        return target[name]


def _closed(part: Schema, members: Schema) -> Schema:
    """Return the resolved ``members`` of ``part``, allowing nothing in place of dropped parts.

    Raises _EndlessError if a dropped part is required.
    """
    if "items" in part and "items" not in members:
        members["maxItems"] = 0
    if "additionalProperties" in part and "additionalProperties" not in members:
        members["additionalProperties"] = False
    if isinstance(part.get("properties"), dict):
        left_out = part["properties"].keys() - members["properties"].keys()
        if left_out:
            members["additionalProperties"] = False
        required = part.get("required")
        if isinstance(required, list) and any(name in required for name in left_out):
            raise _EndlessError("refers to itself where it is required; it has to end somewhere")
    least = part.get("minItems")
    if members.get("maxItems") == 0 and isinstance(least, int) and least > 0:
        raise _EndlessError("refers to itself in an array that can't be empty")
    return members


def weight(value: object, most: int) -> int:
    """Return the size of a JSON value: its characters, and 4 for each text, number, list and map.

    Counting stops soon after ``most`` is exceeded.
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
    """Return ``schema`` with every property nullable, since an image may not show every value."""
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
