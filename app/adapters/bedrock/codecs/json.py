"""An upstream's JSON, read leniently, so that nothing odd in it costs a paid answer. Pure."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

MAX_COUNT = 10**9
"""Maximum plausible tokens and milliseconds."""
_DIGITS = 10


def loads(text: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Return the value of ``text``, or raise ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # The standard library's parser takes half a surrogate pair, which is how a border within
        # a character looks.
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("is nested too deeply") from error


def dumps(value: object) -> bytes:
    """Return ``value`` as JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # A schema's numbers may be larger than 64 bits; the standard library writes any.
        return json.dumps(value).encode()


def number(value: object) -> int | None:
    """Return ``value`` if it is a plausible count or the digits of one, else None.

    Counts are kept and added up for years: one that is negative or enormous would spoil them all.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # Not a bool, which is an int, too.
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def member(parent: object, name: str) -> Mapping[str, Any]:
    """Return the object under ``name``, or an empty one."""
    value = parent.get(name) if isinstance(parent, dict) else None
    return value if isinstance(value, dict) else {}
