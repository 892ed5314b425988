"""JSON of every dialect, bounded before anything is made of it."""

import json
import re
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic_core import from_json

from app.domain.errors import FieldError, InvalidParameterError

MOST_VALUES = 10_000
"""Values of one body, in its lists and maps together. A conversation of 2,000 turns has 4,000."""
MOST_LEVELS = 200
"""Lists and maps within one another, at most; the limit of pydantic's own parser."""

# A string, the last one perhaps without its end. Possessive, so that each byte is read once.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)


def loads(raw: bytes, *, few: bool = False) -> Any:  # noqa: ANN401 - any JSON value
    """Return what ``raw`` says, which is known to be of ``few`` values or is counted.

    Raises InvalidParameterError where it has too many values, and RequestValidationError where
    it is not JSON.
    """
    if not few:
        _check_count(raw)
    try:
        return from_json(raw)
    except ValueError:
        return _loads_slowly(raw)


def has_more_than(most: int, raw: bytes) -> bool:
    """Tell whether ``raw`` may hold more than ``most`` values, by its commas."""
    at = -1
    for _ in range(most):
        # Many times as fast as to count them all, in a body that is a picture for the most part.
        at = raw.find(b",", at + 1)
        if at < 0:
            return False
    return True


def _check_count(raw: bytes) -> None:
    if not has_more_than(MOST_VALUES, raw):
        return
    # Most are in texts, perhaps.
    commas = _STRING.sub(b"", raw).count(b",")
    if commas >= MOST_VALUES:
        message = f"has {commas + 1:,} values or more; at most {MOST_VALUES:,} are taken"
        raise InvalidParameterError(
            f"body: {message}", errors=(FieldError("body", InvalidParameterError.code, message),)
        )


def _loads_slowly(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return what the standard library takes all the same, or raise where the fault is.

    It takes UTF-16, a byte order mark and halves of characters, and counts the characters.
    """
    try:
        value = json.loads(raw)
    except json.JSONDecodeError as error:
        raise _not_json(error.msg, error.pos) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise _not_json("not UTF-8, or too deep") from error
    except ValueError as error:
        raise _not_json("a number has more digits than can be read") from error
    if _too_deep(value):
        raise _not_json("not UTF-8, or too deep")
    return value


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [part for outer in level for part in _parts(outer)]
        if not level:
            return False
    return True


def _parts(value: object) -> Any:  # noqa: ANN401 - a view of any values
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _not_json(reason: str, position: int | None = None) -> RequestValidationError:
    place = () if position is None else (position,)
    return RequestValidationError(
        [{"type": "json_invalid", "loc": ("body", *place), "ctx": {"error": reason}}]
    )
