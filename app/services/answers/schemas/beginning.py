"""Prefills the beginning of an answer, which the model continues.

This keeps a model of this size from writing prose, fences or headings before the object.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.domain.generation import StopReason
from app.services.answers.schemas.schema import Schema

_GOES_ON = re.compile(r"\"\s*,\s*\"|[}\]\"]\s*$")
"""Matches text that continues an object: the end of a value or of the object."""
_QUOTED_AGAIN = re.compile(r"\s*\"[^\s\",:}\]]")
"""Matches a repeated opening quote; after an empty text there would be a comma or the end."""
_FENCED = re.compile(r"\s*```\w*\s*[{\[]")


def beginning(schema: Schema) -> str:
    """Return the beginning of an answer under ``schema``, up to its first value.

    It is empty if the schema names no properties.
    """
    properties: dict[str, Any] = schema.get("properties", {})
    if not properties:
        return ""
    key, part = next(iter(properties.items()))
    if sum(name == key for name in _names(schema)) > 1:
        # With such a key, a new beginning could not be told from an inner object.
        return "{"
    return f"{{{orjson.dumps(key).decode()}:{_opening(part)}"


def _opening(part: Any) -> str:  # noqa: ANN401 - any JSON value
    match part.get("type") if isinstance(part, dict) else None:
        case "string" if "const" not in part:
            return ' "'
        case "array":
            return " ["
        case _:
            return ""


def _names(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(part, list):
        for one in part:
            yield from _names(one)
    elif isinstance(part, dict):
        yield from part.get("properties", {})
        for key, inner in part.items():
            named = key == "properties" and isinstance(inner, dict)
            yield from _names(list(inner.values()) if named else inner)


def whole(begun: str, text: str, stop: StopReason, schema: Schema) -> str:
    """Return the whole answer, ``begun`` followed by the model's ``text``.

    ``text`` is returned alone if the model started over, wrote prose without an object, or was
    blocked by a guardrail.
    """
    if not begun or not text.strip() or stop is StopReason.GUARDRAIL:
        return text
    if begun.endswith('"') and _QUOTED_AGAIN.match(text):
        begun = begun[:-1]
    prose = stop is StopReason.STOP and not _GOES_ON.search(text)
    return text if prose or _anew(begun, text, schema) else begun + text


def _anew(begun: str, text: str, schema: Schema) -> bool:
    """Return whether ``text`` starts over with a new object or list."""
    if _FENCED.match(text):
        return True
    key, part = next(iter(schema.get("properties", {}).items()))
    if begun != "{" and re.search(rf"\{{\s*[\"']?{re.escape(key)}[\"']?\s*:", text):
        return True
    start = text.lstrip()[:1]
    if not begun.endswith("["):
        return start == "{"
    inner = set(_names(part))
    outer = [name for name in schema["properties"] if name not in inner]
    names = "|".join(map(re.escape, outer))
    return (start == "[" and not _lists_lists(part)) or bool(
        names and re.match(rf"\s*\{{\s*[\"']?(?:{names})[\"']?\s*:", text)
    )


def _lists_lists(part: Schema) -> bool:
    items = part.get("items")
    return isinstance(items, dict) and items.get("type") == "array"
