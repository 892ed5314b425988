"""Instructions to the model about the form of its answer."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from app.services.answers.advice import advice
from app.services.answers.schemas.schema import Schema
from app.services.answers.schemas.skeleton import skeleton

_SHOWN = 600
"""Maximum characters of the faults in a repair prompt."""


def with_form(text: str, schema: Schema) -> str:
    """Return ``text`` followed by the required form."""
    shown = skeleton(schema)
    if shown is not None:
        return f"{text}\n\nAnswer with one JSON object of this form and nothing else:\n{shown}"
    return (
        f"{text}\n\nAnswer with one JSON object and nothing else, valid under this JSON Schema. "
        f"Keep its keys as they are.\n{orjson.dumps(schema).decode()}"
    )


def with_keys(text: str, schema: Schema) -> str:
    """Return ``text`` followed by the keys of ``schema``, which the upstream enforces."""
    keys = "\n".join(_outline(schema, ""))
    return f"{text}\n\nAnswer with one JSON object and nothing else. Its keys:\n{keys}"


def with_options(text: str, options: Sequence[str]) -> str:
    """Return ``text`` followed by the options of which the answer must be one."""
    listed = "\n".join(options)
    return f"{text}\n\nAnswer with one of these and nothing else:\n{listed}"


def _outline(schema: Schema, margin: str) -> Iterator[str]:
    """Yield a line for each key with its meaning in words; nested keys are indented."""
    for name, part in schema.get("properties", {}).items():
        yield f"{margin}{name}{_meaning(part)}"
        for inner in _inner(part):
            yield from _outline(inner, f"{margin}  ")


def _meaning(part: Any) -> str:  # noqa: ANN401 - any JSON value
    if not isinstance(part, dict):
        return ""
    words = part.get("description") or part.get("title")
    sentences = [words] if isinstance(words, str) else []
    if isinstance(listed := part.get("enum"), list):
        sentences.append(f"one of {', '.join(map(str, listed))}")
    return f": {'; '.join(sentences)}" if sentences else ""


def _inner(part: Any) -> Iterator[Schema]:  # noqa: ANN401 - any JSON value
    """Yield the object schemas in ``part``: itself, its items or its alternatives."""
    if not isinstance(part, dict):
        return
    if part.get("properties"):
        yield part
    for one in (part.get("items"), *part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _inner(one)


def correction(faults: Sequence[str], schema: Schema) -> str:
    """Return the repair prompt after an invalid answer."""
    lines = advice(faults)[:_SHOWN]
    return with_form(
        f"That answer can not be used. Change this:\n{lines}\nGive the whole answer again.", schema
    )
