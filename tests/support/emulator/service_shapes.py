"""Checks what the emulator sends against AWS's newest service models."""

import base64
import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore.model import OperationModel, ServiceModel

_DATA = Path(__file__).parents[2] / "data" / "aws-shapes.json"

# The enum lacks a value that the service has sent since 2024.
_NEWER = {"InferenceType": {"INFERENCE_PROFILE"}}


@cache
def newest(service: str) -> ServiceModel:
    """Return the newest model of a service, with the operations that are checked against it.

    A service that the data does not have has none of them: the pinned SDK's are taken then.
    """
    services = json.loads(_DATA.read_text())["services"]
    return ServiceModel(services.get(service, {"operations": {}}), service)


def operation(service: str, name: str, pinned: Any) -> OperationModel:
    """Return an operation's newest model, or else the pinned SDK's."""
    model = newest(service)
    return model.operation_model(name) if name in model.operation_names else pinned


def violations(shape: Any, value: Any, where: str = "$") -> list[str]:
    """Return how a JSON value violates its shape; an empty list if it does not."""
    if getattr(shape, "is_document_type", False):
        return []
    return list(_CHECKS[shape.type_name](shape, value, where))


def _structure(shape: Any, value: Any, where: str):
    if not isinstance(value, dict):
        yield f"{where}: {type(value).__name__} is no structure"
        return
    members = {
        member.serialization.get("name", name): member
        for name, member in shape.members.items()
        if member.serialization.get("location") is None
    }
    for name in shape.required_members:
        if name in members and name not in value:
            yield f"{where}: required {name} is missing"
    for name in value.keys() - members.keys():
        yield f"{where}: unknown member {name}"
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield f"{where}: a union holds one member, not {sorted(value)}"
    for name in value.keys() & members.keys():
        yield from violations(members[name], value[name], f"{where}.{name}")


def _list(shape: Any, value: Any, where: str):
    if not isinstance(value, list):
        yield f"{where}: {type(value).__name__} is no list"
        return
    for index, item in enumerate(value):
        yield from violations(shape.member, item, f"{where}[{index}]")


def _map(shape: Any, value: Any, where: str):
    if not isinstance(value, dict):
        yield f"{where}: {type(value).__name__} is no map"
        return
    for key, item in value.items():
        yield from violations(shape.key, key, f"{where} key {key}")
        yield from violations(shape.value, item, f"{where}.{key}")


def _string(shape: Any, value: Any, where: str):
    if not isinstance(value, str):
        yield f"{where}: {type(value).__name__} is no string"
        return
    allowed = set(shape.enum) | _NEWER.get(shape.name, set())
    if shape.enum and value not in allowed:
        yield f"{where}: {value!r} is none of {sorted(allowed)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        yield f"{where}: {value!r} is not {pattern}"


def _number(shape: Any, value: Any, where: str):
    kinds = (int, float) if shape.type_name in ("float", "double") else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds):
        yield f"{where}: {value!r} is no {shape.type_name}"
    elif value < shape.metadata.get("min", value) or value > shape.metadata.get("max", value):
        yield f"{where}: {value!r} is out of range"


def _boolean(_: Any, value: Any, where: str):
    if not isinstance(value, bool):
        yield f"{where}: {value!r} is no boolean"


def _timestamp(_: Any, value: Any, where: str):
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        yield f"{where}: {value!r} is no timestamp"


def _blob(_: Any, value: Any, where: str):
    try:
        value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        yield f"{where}: {value!r} is no blob"


_CHECKS = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "integer": _number,
    "long": _number,
    "float": _number,
    "double": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}
