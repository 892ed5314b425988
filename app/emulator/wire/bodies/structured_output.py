"""Reads an imported model's constraints: ``response_format`` and ``structured_outputs``."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.emulator.wire.bodies.conversation import Constraint
from app.emulator.wire.errors import refused_by_model

_KINDS = ("json", "regex", "choice", "grammar")
# Keywords that the engine's grammar compiler can't express.
_REFUSED = (
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "maxProperties",
    "minContains",
    "minProperties",
    "multipleOf",
    "not",
    "patternProperties",
    "propertyNames",
    "then",
    "uniqueItems",
)
_NAMED_SCHEMAS = ("properties", "$defs", "definitions")


def constraint(fields: dict[str, Any], *, bare_schema: bool) -> Constraint | None:
    """Return the constraint of the answer, None if it is free.

    With ``bare_schema`` the member ``json_schema`` is the schema itself (BedrockCompletion);
    otherwise it is an object with ``name`` and ``schema``. Raises the 400 for what the engine
    refuses.
    """
    wanted, outputs = fields.get("response_format"), fields.get("structured_outputs")
    made = None if wanted is None else _of_format(wanted, bare_schema=bare_schema)
    if outputs is None:
        return made
    if made is not None:
        raise refused_by_model("response_format and structured_outputs can't be given together.")
    return _of_outputs(outputs)


def _of_format(wanted: object, *, bare_schema: bool) -> Constraint | None:
    if not isinstance(wanted, dict):
        raise refused_by_model("response_format must be an object.")
    match wanted.get("type"):
        case "text":
            return None
        case "json_object":
            return Constraint(schema={})
        case "json_schema":
            return Constraint(schema=_schema(wanted.get("json_schema"), bare_schema=bare_schema))
    raise refused_by_model("response_format.type must be one of text, json_object, json_schema.")


def _schema(member: object, *, bare_schema: bool) -> dict[str, Any]:
    where = "response_format.json_schema"
    if not isinstance(member, dict):
        raise refused_by_model(f"{where} must be an object.")
    if bare_schema:
        return _accepted(member, where)
    if not isinstance(member.get("name"), str) or not isinstance(member.get("schema"), dict):
        raise refused_by_model(f"{where} must hold name and schema.")
    return _accepted(member["schema"], f"{where}.schema")


def _of_outputs(outputs: object) -> Constraint:
    if not isinstance(outputs, dict) or outputs.keys() - set(_KINDS):
        raise refused_by_model(f"structured_outputs must hold one of {', '.join(_KINDS)}.")
    given = {kind: value for kind, value in outputs.items() if value is not None}
    if len(given) != 1:
        raise refused_by_model(
            "You must use one kind of structured outputs constraint but"
            f" {len(given)} are specified: {given.keys() or 'none'}"
        )
    ((kind, value),) = given.items()
    match kind:
        case "json":
            return Constraint(schema=_accepted(_parsed(value), "structured_outputs.json"))
        case "choice":
            return Constraint(choices=_choices(value))
        case "regex":
            return Constraint(pattern=_pattern(value))
    raise refused_by_model(
        "structured_outputs.grammar is not supported. Use json, regex or choice."
    )


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise refused_by_model("structured_outputs.json is not valid JSON.") from None


def _choices(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
        raise refused_by_model("structured_outputs.choice must be a list of non-empty strings.")
    return tuple(value)


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise refused_by_model("structured_outputs.regex must be a string.")
    try:
        re.compile(value)
    except re.error as error:
        raise refused_by_model(
            f"structured_outputs.regex is not a valid pattern: {error}."
        ) from None
    return value


def _accepted(schema: object, where: str) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise refused_by_model(f"{where} must be an object.")
    unsupported = sorted(set(_keywords(schema)) & set(_REFUSED))
    if unsupported:
        raise refused_by_model(
            "The provided JSON schema contains features not supported by the grammar compiler:"
            f" {', '.join(unsupported)}."
        )
    return schema


def _keywords(schema: object) -> Iterator[str]:
    """Yield every keyword of a schema and of those within it, but no property's name."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            yield from part
            for key, value in part.items():
                if key in _NAMED_SCHEMAS and isinstance(value, dict):
                    waiting.extend(value.values())
                elif key not in ("enum", "const", "default", "examples"):
                    waiting.append(value)
