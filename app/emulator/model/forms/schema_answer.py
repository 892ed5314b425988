"""A JSON value that is valid under a schema, filled from the facts of a picture.

A property takes the value that stands beside its name in the picture, or the fact of that name:
the text, its lines, a box, a description, a colour. A value that was not seen is empty: null,
``""``, ``[]``, or the least value that the schema allows.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from app.emulator.model.facts import Facts, box_sides, iso_date, names_box
from app.emulator.model.forms import json_schema
from app.emulator.model.forms.json_schema import Schema
from app.emulator.model.lookup import number

_DEPTH = 12
UNFOLLOWED = (
    TypeError,
    ValueError,
    AttributeError,
    KeyError,
    IndexError,
    RecursionError,
    re.error,
)
"""Errors that `filled` raises for something that only looks like a schema."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a value in the answer."""

    root: Schema
    facts: Facts
    name: str = ""
    """The property's name with its title and description."""
    depth: int = 0

    def within(self, key: str, schema: Schema) -> "_Place":
        hints = " ".join(str(schema.get(k, "")) for k in ("title", "description"))
        return replace(self, name=f"{key}\n{hints}", depth=self.depth + 1)


def filled(schema: Schema, facts: Facts) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value under ``schema`` with the ``facts``."""
    return _value(schema, _Place(schema, facts))


def _value(schema: Any, place: _Place) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(schema, dict):
        return None
    schema = json_schema.resolved(schema, place.root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _chosen(schema["enum"], place)
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _first_told(schema[key], place)
    return _typed(schema, place)


def _chosen(options: list[Any], place: _Place) -> Any:  # noqa: ANN401 - any JSON value
    for option in options:
        if isinstance(option, str) and option and place.facts.says(option, place.name):
            return option
    for empty in (None, "", "none", "unknown", "other", "not_found"):
        if empty in options:
            return empty
    return options[0]


def _first_told(options: list[Any], place: _Place) -> Any:  # noqa: ANN401 - any JSON value
    parts = [json_schema.resolved(option, place.root) for option in options]
    nullable = {"type": "null"} in parts
    values = [_value(json_schema.or_null(part) if nullable else part, place) for part in parts]
    known = [value for value in values if value not in (None, "", [], {})]
    if known:
        return known[0]
    return None if nullable else values[0]


def _typed(schema: Schema, place: _Place) -> Any:  # noqa: ANN401 - any JSON value
    kind = schema.get("type") or json_schema.implied(schema)
    kinds = kind if isinstance(kind, list) else [kind]
    makers: dict[str, Callable[[Schema, _Place], Any]] = {
        "object": _object,
        "array": _array,
        "string": _string,
        "number": _number,
        "integer": _number,
        "boolean": _boolean,
    }
    nullable = "null" in kinds
    for name in kinds:
        if name in makers:
            part = {**schema, "type": name}
            if nullable and not _is_told(part, place):
                return None
            return makers[name](part, replace(place, depth=place.depth + 1))
    return None


def _is_told(schema: Schema, place: _Place) -> bool:
    """Whether the picture has a value, so that null would omit something known."""
    match schema["type"]:
        case "boolean":
            return place.facts.truth(place.name) is not None
        case "number" | "integer":
            number = _seen_number(place)
            return number is not None and json_schema.allowed(number, schema)
        case "string":
            return bool(_string({**schema, "minLength": 0}, place))
        case "array":
            items = schema.get("items")
            item = json_schema.resolved(items, place.root) if isinstance(items, dict) else {}
            return any(True for _ in _items(item, schema, place))
    return _holds_anything(_object(schema, place))


def _holds_anything(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return any(map(_holds_anything, value.values()))
    if isinstance(value, list):
        return any(map(_holds_anything, value))
    return bool(value)


def _object(schema: Schema, place: _Place) -> dict[str, Any]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if place.depth > _DEPTH:
        properties = {key: value for key, value in properties.items() if key in required}
    sides = box_sides(list(properties))
    box = place.facts.box_for(place.name) if sides else None
    made: dict[str, Any] = {}
    for key, part in properties.items():
        inner = place.within(key, part if isinstance(part, dict) else {})
        if box is not None and key in sides:
            made[key] = sides[key](box)
        else:
            made[key] = _value(part, inner)
    for key in required:
        made.setdefault(key, None)
    return made


def _array(schema: Schema, place: _Place) -> list[Any]:
    items = schema.get("items")
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if schema.get("prefixItems"):
        return [_value(part, place) for part in schema["prefixItems"]]
    if not isinstance(items, dict) or place.depth > _DEPTH:
        return [None] * least
    item = json_schema.resolved(items, place.root)
    values = list(_items(item, schema, place))
    if schema.get("uniqueItems"):
        values = [v for i, v in enumerate(values) if v not in values[:i]]
    while len(values) < least:
        values.append(_value(item, replace(place, facts=place.facts.nothing())))
    return values[: int(most)] if most != math.inf else values


def _items(item: Schema, schema: Schema, place: _Place) -> Iterator[Any]:
    item = json_schema.alternative(item, place.root)
    kind = item.get("type") or json_schema.implied(item)
    if _is_box(item, schema, place.name):
        for side in place.facts.box_for(place.name) or ():
            yield json_schema.fitting_number(side, item)
    elif kind == "string" and "enum" not in item:
        for text in place.facts.texts_for(place.name):
            yield json_schema.fitting_text(text, item)
    elif kind == "array":
        for row in place.facts.rows_for(place.name):
            yield _row(row, item, place)
    elif kind == "object":
        for entry in place.facts.each(place.name, list(item.get("properties", {}))):
            yield _value(item, replace(place, facts=entry))


def _row(row: list[str], schema: Schema, place: _Place) -> list[Any]:
    """Return a table's row, empty cells where the schema wants something else than text."""
    cell = json_schema.alternative(schema.get("items", {}), place.root)
    if cell.get("type", "string") != "string" or "enum" in cell:
        return _array(schema, replace(place, name="", facts=place.facts.nothing()))
    values = [json_schema.fitting_text(text, cell) for text in row]
    values += [json_schema.fitting_text("", cell)] * (schema.get("minItems", 0) - len(values))
    return values[: schema.get("maxItems", len(values))]


def _is_box(item: Schema, schema: Schema, name: str) -> bool:
    four = schema.get("minItems") == 4 == schema.get("maxItems") or names_box(name)
    return four and item.get("type") in ("number", "integer")


def _string(schema: Schema, place: _Place) -> str:
    text = place.facts.text_for(place.name)
    if schema.get("format") == "date":
        text = iso_date(text)
    return json_schema.fitting_text(text, schema)


def _seen_number(place: _Place) -> float | None:
    known = place.facts.number_for(place.name)
    return known if known is not None else number(place.facts.text_for(place.name))


def _number(schema: Schema, place: _Place) -> float | int:
    return json_schema.fitting_number(_seen_number(place), schema)


def _boolean(_: Schema, place: _Place) -> bool:
    return bool(place.facts.truth(place.name))
