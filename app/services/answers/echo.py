"""Detects objects that only repeat the prompt: a schema, a template or an example of the form."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from app.services.answers.schemas.conform import folded, texts
from app.services.answers.schemas.schema import Schema
from app.services.answers.schemas.skeleton import skeleton

_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_TEMPLATE = re.compile(
    r"\.{2,}|…|(?:string|number|integer|boolean|float|int|str|bool|any)"
    r"(?: or null| ?\| ?null|\?)?(?: \(.{1,400}\))?(?: ?\| ?null)?"
    r"|string\[\]|[\w ]{1,40} goes here",
    re.IGNORECASE | re.DOTALL,
)
_PLACE = re.compile(
    r"<[^<>]{1,80}>|\[[^\[\]]{1,80}\]|\{[^{}]{1,80}\}|x{3,}|_{2,}"
    r"|y{4}-m{2}-d{2}|[dm]{2}[./][dm]{2}[./]y{4}|hh:mm(?::ss)?"
    r"|(?:your|insert|enter|put|write|add) [\w ]{1,40}(?: here)?",
    re.IGNORECASE,
)
"""Placeholders. A page may have one as well, so only several of them count as an echo."""


def without_skeleton(text: str, schema: Schema) -> str:
    """Return ``text`` without repetitions of the skeleton that the prompt showed."""
    shown = skeleton(schema)
    return text if shown is None else text.replace(shown, " ")


def is_schema(value: dict[str, Any], names: Iterable[str]) -> bool:
    """Return whether ``value`` is a JSON Schema although the form does not ask for one."""
    if "properties" in names:
        return False
    if "$schema" in value or "$defs" in value:
        return True
    return isinstance(value.get("properties"), dict) and value.get("type", "object") == "object"


def repeats(value: dict[str, Any], schema: Schema) -> bool:
    """Return whether ``value`` has only placeholders, descriptions or parts of schemas."""
    described = frozenset(folded(text) for text in _descriptions(schema))
    words = [text for text in texts(value) if not text.lstrip("-").replace(".", "").isdigit()]
    listed = frozenset(folded(str(word)) for word in _listed(schema))
    own = [text for text in words if folded(text) not in listed or "|" in text]
    if not own:
        return _only_schemas(value)
    rest = [t for t in own if not (_template(t, listed) or folded(t) in described)]
    return len(own) > 1 and all(_PLACE.fullmatch(text.strip()) for text in rest) if rest else True


def _template(text: str, listed: frozenset[str]) -> bool:
    """Return whether ``text`` is a template's value, such as ``string`` or ``high|medium|low``."""
    options = [folded(option) for option in text.split("|")]
    return _TEMPLATE.fullmatch(text.strip()) is not None or (
        len(options) > 1 and all(option in listed or option in _TYPES for option in options)
    )


def _only_schemas(value: dict[str, Any]) -> bool:
    parts = [member for member in value.values() if member is not None]
    return bool(parts) and all(isinstance(p, dict) and p.get("type") in _TYPES for p in parts)


def _descriptions(schema: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(schema, dict):
        if isinstance(schema.get("description"), str):
            yield schema["description"]
        for part in schema.values():
            yield from _descriptions(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _descriptions(part)


def _listed(schema: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(schema, dict):
        yield from schema.get("enum", ()) if isinstance(schema.get("enum"), list) else ()
        for part in schema.values():
            yield from _listed(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _listed(part)
