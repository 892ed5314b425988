"""The rules of JSON Schema that an answer must keep, whatever its content."""

import math
import re
from collections.abc import Iterator
from typing import Any

from app.emulator.model.forms import pattern

Schema = dict[str, Any]
_DEPTH = 12


def resolved(schema: Schema, root: Schema) -> Schema:
    """Follow references and fold ``allOf`` into one schema."""
    for _ in range(_DEPTH):
        if "$ref" in schema:
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            schema = {**_referred(schema["$ref"], root), **rest}
        elif "allOf" in schema:
            schema = _folded(schema)
        else:
            break
    return schema


def _referred(reference: str, root: Schema) -> Schema:
    part_schema: Any = root
    for part in reference.removeprefix("#").split("/"):
        if part:
            part_schema = part_schema.get(part.replace("~1", "/").replace("~0", "~"), {})
    return part_schema if isinstance(part_schema, dict) else {}


def _folded(schema: Schema) -> Schema:
    parts = [{k: v for k, v in schema.items() if k != "allOf"}, *schema["allOf"]]
    folded: Schema = {}
    for part in parts:
        properties = {**folded.get("properties", {}), **part.get("properties", {})}
        required = [*folded.get("required", []), *part.get("required", [])]
        folded = {**folded, **part}
        if properties:
            folded["properties"] = properties
        if required:
            folded["required"] = required
    return folded


def or_null(schema: Schema) -> Schema:
    """Return the schema with null allowed besides."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    kind = schema.get("type") or implied(schema)
    return {**schema, "type": [*(kind if isinstance(kind, list) else [kind]), "null"]}


def alternative(schema: Schema, root: Schema) -> Schema:
    """Return the first alternative of a schema that is more than null; itself without any."""
    schema = resolved(schema, root)
    kind = schema.get("type")
    if isinstance(kind, list):
        return {**schema, "type": next((name for name in kind if name != "null"), "null")}
    options = schema.get("anyOf") or schema.get("oneOf") or ()
    parts = (resolved(option, root) for option in options)
    first = next((part for part in parts if part.get("type") != "null"), None)
    return schema if first is None else alternative(first, root)


def implied(schema: Schema) -> str:
    """Return the type of a schema that names none."""
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def fitting_text(text: str, schema: Schema) -> str:
    """Return the text cut, padded or replaced to the schema's lengths and pattern."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    if len(text) > most:
        text = text[: int(most)]
    wanted = schema.get("pattern")
    if wanted and not re.search(wanted, text):
        text = _matching(wanted)
    return text if len(text) >= least else text.ljust(least, "-")


def allowed(value: float, schema: Schema) -> bool:
    """Whether a number's kind, bounds and step are those of the schema."""
    step = schema.get("multipleOf")
    return (
        schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < value
        and value < schema.get("exclusiveMaximum", math.inf)
        and (schema.get("type") != "integer" or value == math.floor(value))
        and (not step or value == round(value / step) * step)
    )


def fitting_number(number_seen: float | None, schema: Schema) -> float | int:
    """Return the number if the schema allows it, else one near to it, to 0 or to a bound."""
    fitting = (number for number in _near(number_seen, schema) if allowed(number, schema))
    number = next(fitting, 0.0)
    return int(number) if schema.get("type") == "integer" else number


def _near(number_seen: float | None, schema: Schema) -> Iterator[float]:
    step = schema.get("multipleOf") or (1 if schema.get("type") == "integer" else 0.001)
    bounds = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    starts = [number_seen, 0.0, *(schema.get(bound) for bound in bounds)]
    for start in starts:
        if start is not None:
            yield start
            whole = round(start / step)
            yield from ((whole + offset) * step for offset in (0, 1, -1))
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        yield (low + high) / 2


def _matching(wanted: str) -> str:
    """Return a short text that a pattern allows, empty if none is found."""
    candidates = ("", "0", "a", "A", "n/a", "1970-01-01", "00:00", "0.00")
    plain = next((text for text in candidates if re.search(wanted, text)), None)
    if plain is not None:
        return plain
    try:
        return pattern.example(wanted)
    except pattern.UnsupportedPatternError:
        return ""
