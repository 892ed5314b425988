"""Bedrock's JSON, read so that nothing odd in it costs an answer that was paid for. Pure."""

import json
from typing import Any

import orjson


def loads(said: bytes) -> Any:  # noqa: ANN401 - JSON
    """Return what ``said`` holds, or raise ValueError."""
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError:
        # The standard library's parser takes half a surrogate pair, which is how a border within
        # a character looks.
        return json.loads(said)


def number(value: object) -> int | None:
    """Return ``value`` where it is a whole number, or the digits of one."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) else None
