"""Describes the fields of forms so that Swagger UI shows them well."""

from collections.abc import Callable, Mapping
from typing import Any


def exemplified(values: Mapping[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return a function that prefills a form's fields in Swagger UI, by changing its schema.

    A field without a default gets its value in ``values`` as its example, or a blank: otherwise
    Swagger UI invents a value and sends it. A blank counts as absent. No field is described as
    nullable, as null would be sent as a word. A value also replaces a blank default. A field of
    files has one chooser, or as many as ``values`` has blanks for it.
    """

    def extend(schema: dict[str, Any]) -> None:
        for name, field in schema["properties"].items():
            _drop_null(field)
            if field.get("items", {}).get("format") == "binary":
                field["examples"] = [values.get(name, [""])]
            elif field.get("default") is None or (name in values and field["default"] == ""):
                field["examples"] = [values.get(name, "")]

    return extend


def _drop_null(field: dict[str, Any]) -> None:
    """Remove null from a field's types and defaults."""
    if "default" in field and field["default"] is None:
        del field["default"]
    match field.get("anyOf"):
        case [kind, {"type": "null"}]:
            del field["anyOf"]
            field.update({name: value for name, value in kind.items() if name not in field})
