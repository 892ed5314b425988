"""Parses JSON bodies of all dialects within bounds."""

import json
import re
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic_core import from_json

from app.domain.errors import FieldError, InvalidParameterError

MOST_VALUES = 10_000
"""Maximum values in all lists and maps of a body. A conversation of 2,000 turns has 4,000."""
MOST_LEVELS = 200
"""Maximum nesting of lists and maps; the limit of pydantic's own parser."""

MOST_TEXTS = 2 * MOST_VALUES + MOST_LEVELS
"""Maximum texts in a body of `MOST_VALUES` values, each of which may have a key."""

# Matches the inside of a text, at most half a million bytes at once, as nothing else runs
# meanwhile.
_WITHIN = re.compile(rb'(?:[^"\\]{1,512}+|\\.){0,1024}+', re.DOTALL)


def loads(raw: bytes, *, few: bool = False) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of ``raw``; its values are counted unless they are known to be ``few``.

    Raises InvalidParameterError if it has too many values, and RequestValidationError if it is not
    JSON.
    """
    if not few:
        check_count(raw)
    try:
        return from_json(raw)
    except ValueError:
        return _loads_slowly(raw)


def has_more_than(most: int, raw: bytes) -> bool:
    """Tell whether ``raw`` may hold more than ``most`` values, judged by its commas."""
    if len(raw) <= most:
        return False
    at = -1
    for _ in range(most):
        # In a body that is mostly a picture this is many times as fast as counting all commas.
        at = raw.find(b",", at + 1)
        if at < 0:
            return False
    return True


def check_count(raw: bytes) -> None:
    """Raise InvalidParameterError if ``raw`` has too many values."""
    if not has_more_than(MOST_VALUES, raw):
        return
    # Commas in texts don't count. It stops as soon as the answer is known, as megabytes take long.
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
    """Return the position after the text that begins at ``start``, which may not end."""
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
    """Parse ``raw`` with the standard library, or raise an error that names the place of the fault.

    It accepts UTF-16, a byte order mark and lone surrogates, and gives places in characters.
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
