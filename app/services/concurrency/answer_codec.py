"""Encodes whole answers as JSON and decodes them: dataclasses, enumerations, models and errors.

Pure. Both directions take time by the answer's size: call them in a thread.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from app.domain.errors import ServiceError

_ROOMS = ("app.domain.", "app.services.")
"""The modules whose classes are made anew, imported where this process has not needed them yet."""


def encoded(answer: object) -> bytes:
    """Return ``answer`` as bytes.

    Raises TypeError, ValueError or RecursionError for a value that the form can't hold.
    """
    # Python's own writer: a model may write a number of any size.
    return json.dumps(_written(answer), separators=(",", ":")).encode()


def decoded(data: bytes) -> Any:  # noqa: ANN401 - what was encoded
    """Return the answer in ``data``, or raise ValueError if this version can't read it."""
    try:
        return _read(json.loads(data))
    except (AttributeError, ImportError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"is not an answer: {type(error).__name__}") from error


def _written(value: object) -> Any:  # noqa: ANN401 - JSON
    match value:
        case Enum():
            return {"enum": [_name(value), value.value]}
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"bytes": b64encode(value).decode()}
        case tuple():
            return {"tuple": [_written(each) for each in value]}
        case list():
            return [_written(each) for each in value]
        case dict():
            return {"dict": [[_written(key), _written(each)] for key, each in value.items()]}
        case BaseModel():
            own = {name: _written(each) for name, each in value.__dict__.items()}
            return {"model": [_name(value), own, sorted(value.model_fields_set)]}
        case ServiceError():
            own = {name: _written(each) for name, each in vars(value).items()}
            return {"error": [_name(value), own]}
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is not kept")
    own = {field.name: _written(getattr(value, field.name)) for field in fields(value)}
    return {"object": [_name(value), own]}


def _name(value: object) -> list[str]:
    kind = type(value)
    if not kind.__module__.startswith(_ROOMS):
        raise TypeError(f"{kind.__qualname__} is not kept")
    return [kind.__module__, kind.__qualname__]


def _class(name: list[str], parent: type | None = None) -> Any:  # noqa: ANN401 - a class
    module, qualified = name
    kind: Any = import_module(module) if module.startswith(_ROOMS) else None
    for part in qualified.split("."):
        kind = getattr(kind, part)
    right = issubclass(kind, parent) if parent else is_dataclass(kind)
    if not right:
        raise ValueError("is not an answer: a class of another kind")
    return kind


def _read(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_read(each) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "bytes":
            return b64decode(content)
        case "tuple":
            return tuple(_read(each) for each in content)
        case "dict":
            return {_read(key): _read(each) for key, each in content}
        case "enum":
            return _class(content[0], Enum)(content[1])
        case "model":
            name, own, members = content
            values = {key: _read(each) for key, each in own.items()}
            return _class(name, BaseModel).model_construct(set(members), **values)
        case "error":
            name, own = content
            error = _class(name, ServiceError)(own["detail"])
            vars(error).update({key: _read(each) for key, each in own.items()})
            return error
        case "object":
            return _object(*content)
    raise ValueError("is not an answer: an unknown mark")


def _object(name: list[str], own: dict[str, Any]) -> object:
    kind = _class(name)
    if {field.name for field in fields(kind)} != own.keys():
        raise ValueError("is not an answer: of another version")
    # Restored as it was: fields that the class derives when it is made are among them.
    made = object.__new__(kind)
    for field, value in own.items():
        object.__setattr__(made, field, _read(value))
    return made
