"""Parses JSON of every dialect within bounds."""

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

MOST_TEXTS = 2 * MOST_VALUES + MOST_LEVELS
"""Texts of a body that has no more values than that: as many again may be keys."""

# What a text goes on with. At most half a million steps at once, for which nothing else runs.
_WITHIN = re.compile(rb'(?:[^"\\]{1,512}+|\\.){0,1024}+', re.DOTALL)


def loads(raw: bytes, *, few: bool = False) -> Any:  # noqa: ANN401 - any JSON value
    """Return what ``raw`` says, which is known to be of ``few`` values or is counted.

    Raises InvalidParameterError where it has too many values, and RequestValidationError where
    it is not JSON.
    """
    if not few:
        check_count(raw)
    try:
        return from_json(raw)
    except ValueError:
        return _loads_slowly(raw)


def has_more_than(most: int, raw: bytes) -> bool:
    """Tell whether ``raw`` may hold more than ``most`` values, by its commas."""
    if len(raw) <= most:
        return False
    at = -1
    for _ in range(most):
        # Many times as fast as to count them all, in a body that is a picture for the most part.
        at = raw.find(b",", at + 1)
        if at < 0:
            return False
    return True


def check_count(raw: bytes) -> None:
    """Return where ``raw`` has few enough values, or raise InvalidParameterError."""
    if not has_more_than(MOST_VALUES, raw):
        return
    # Most are in texts, perhaps. No further than it takes to know: a megabyte is a long time.
    at = commas = texts = 0
    while commas < MOST_VALUES and texts <= MOST_TEXTS:
        start = raw.find(b'"', at)
        commas += raw.count(b",", at, start if start >= 0 else len(raw))
        if start < 0:
            break
        at, texts = _text_end(raw, start), texts + 1
    if commas >= MOST_VALUES or texts > MOST_TEXTS:
        message = f"has {MOST_VALUES + 1:,} values or more; at most {MOST_VALUES:,} are taken"
        raise InvalidParameterError(
            f"body: {message}", errors=(FieldError("body", InvalidParameterError.code, message),)
        )


def _text_end(raw: bytes, start: int) -> int:
    """Return where the text that begins at ``start`` ends, or ``raw`` where it has no end."""
    quote = raw.find(b'"', start + 1)
    end = quote if quote >= 0 else len(raw)
    at = raw.find(b"\\", start + 1, end)
    if at < 0:
        return end + 1
    while at < len(raw) and raw[at] != ord('"'):
        match = _WITHIN.match(raw, at)
        assert match is not None
        # A backslash may be the last byte.
        at = max(match.end(), at + 1)
    return at + 1


def _loads_slowly(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return what the standard library can still parse, or raise with the fault's place.

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
