"""Describes a form the way an 11B model reads it best: the answer with placeholders for values.

    {"answer": string | null, "confidence": "high" | "medium" | "low", "tags": [string, ...]}

A JSON Schema takes two to three times as many tokens and tempts a model of this size to repeat it.
A value's meaning and bounds follow its placeholder in brackets.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.services.answers.schemas.schema import Schema

_PLACES = {"boolean": "true | false", "null": "null"}
_BEYOND = frozenset({"allOf", "prefixItems", "minProperties", "maxProperties"})
"""Keywords that a skeleton can't express."""
_FORMATS = {
    "date": "YYYY-MM-DD",
    "date-time": "YYYY-MM-DDThh:mm:ssZ",
    "time": "hh:mm:ss",
    "ipvanyaddress": "IPv4 or IPv6 address",
    "json-string": "JSON in a text",
}


class _BeyondError(ValueError):
    """The schema has parts that a skeleton can't express."""


def skeleton(schema: Schema) -> str | None:
    """Return the skeleton of an answer under ``schema``, or None if a skeleton can't express it."""
    try:
        return _value(schema) if schema.get("properties") else None
    except _BeyondError:
        return None


def _value(part: Any) -> str:  # noqa: ANN401 - any JSON value
    if not isinstance(part, dict):
        return "any"
    if _BEYOND & set(part) or isinstance(part.get("additionalProperties"), dict):
        raise _BeyondError
    hint = "; ".join(_hints(part))
    return f"{_bare(part)} ({hint})" if hint else _bare(part)


def _bare(part: Schema) -> str:
    if "const" in part:
        return _literal(part["const"])
    if isinstance(part.get("enum"), list):
        return " | ".join(map(_literal, part["enum"]))
    for key in ("anyOf", "oneOf"):
        if part.get(key):
            return " | ".join(_value(option) for option in part[key])
    kind = part.get("type") or _implied(part)
    return " | ".join(_typed(one, part) for one in (kind if isinstance(kind, list) else [kind]))


def _implied(part: Schema) -> str:
    if "properties" in part:
        return "object"
    return "array" if "items" in part else "any"


def _typed(kind: str, part: Schema) -> str:
    if kind == "object":
        required = part.get("required", ())
        members = (
            f"{_literal(name)}: {_member(inner, required=name in required)}"
            for name, inner in part.get("properties", {}).items()
        )
        return f"{{{', '.join(members)}}}"
    if kind == "array":
        return f"[{_value(part.get('items'))}, ...]"
    return _PLACES.get(kind, kind)


def _member(part: Any, *, required: bool) -> str:  # noqa: ANN401 - any JSON value
    place = _value(part)
    return place if required or re.search(r"\bnull\b", place) else f"{place} | null"


def _literal(value: object) -> str:
    return orjson.dumps(value).decode()


def _hints(part: Schema) -> Iterator[str]:
    """Yield the hints about a value: its meaning, then its bounds."""
    meaning = part.get("description") or part.get("title")
    words = _balanced(" ".join(meaning.split())) if isinstance(meaning, str) else ""
    if words:
        yield words
    yield from (bound for bound in _bounds(part) if bound not in words)
    if isinstance(part.get("format"), str):
        yield f"as {_FORMATS.get(part['format'], part['format'])}"
    if isinstance(pattern := part.get("pattern"), str):
        if _balanced(pattern) != pattern or "\n" in pattern:
            raise _BeyondError
        yield f"matching /{pattern}/"


def _bounds(part: Schema) -> Iterator[str]:
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None:
        yield f"{low} to {high}"
    elif low is not None:
        yield f"at least {low}"
    elif high is not None:
        yield f"at most {high}"
    for key, words in (("exclusiveMinimum", "more than"), ("exclusiveMaximum", "less than")):
        if part.get(key) is not None:
            yield f"{words} {part[key]}"
    if part.get("multipleOf") is not None:
        yield f"in steps of {part['multipleOf']}"
    yield from _sizes(part, "Length", "characters")
    yield from _sizes(part, "Items", "entries")
    if part.get("minLength") == 1 != part.get("maxLength"):
        yield "not empty"
    if part.get("uniqueItems"):
        yield "each entry once"


def _sizes(part: Schema, of: str, what: str) -> Iterator[str]:
    least, most = part.get(f"min{of}"), part.get(f"max{of}")
    if least is not None and least == most:
        yield f"{least} {what}"
        return
    if least is not None and least > 1:
        yield f"at least {least} {what}"
    if most is not None:
        yield f"at most {most} {what}"


def _balanced(text: str) -> str:
    """Return ``text`` with square brackets in place of unbalanced round ones that end its hint."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    return text if depth == 0 else text.replace("(", "[").replace(")", "]")
