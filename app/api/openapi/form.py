"""The fields of forms, described as Swagger UI shows them best."""

from collections.abc import Callable, Mapping
from typing import Any


def exemplified(values: Mapping[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return a function that has Swagger UI show a form's fields as they are filled in.

    A field without a default gets the value of ``values`` as its example, or a blank: Swagger UI
    makes a value up for a field that has neither, and sends it. A blank is taken for nothing; null
    would be sent as a word, so that no field of a form is described as null. A blank default gives
    way to the value. Files have a place to choose one from the beginning, or as many as ``values``
    have blanks for.
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
    """Describe a field of a type or null by its type, and without a default that is null."""
    if "default" in field and field["default"] is None:
        del field["default"]
    match field.get("anyOf"):
        case [kind, {"type": "null"}]:
            del field["anyOf"]
            field.update({name: value for name, value in kind.items() if name not in field})
