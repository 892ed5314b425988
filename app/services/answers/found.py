"""Finding the JSON in what a model wrote around it."""

import re
from collections.abc import Iterator
from itertools import islice
from json import JSONDecoder
from typing import Any

import json_repair

LONGEST = 32_768
"""Characters looked at; 2,048 tokens of text have a third of it."""
STARTS = 6
"""Opening braces from which a repair is tried: prose may hold a few before the object."""
DEEPEST = 100
"""Levels of an object that are taken: what is nested much deeper can't be sent on."""

_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\n?(?P<body>.*?)(?:```|\Z)", re.DOTALL)
# Of a row of braces only the last can open an object; the repair of a long row takes forever.
_OPENING = re.compile(r"\{(?!\s*\{)")
_decoder = JSONDecoder()


def objects(text: str) -> Iterator[dict[str, object]]:
    """Yield the JSON objects that ``text`` may mean, the likeliest first.

    Found in fences, then in the whole text; strictly read, then repaired (trailing commas, single
    quotes, an end cut off). Several may come of one text: whoever asks takes the first that is
    valid, because an object may be complete and still be a part of one that was cut off.
    """
    for found in _meant(text[:LONGEST]):
        try:
            sendable = _sendable(found, DEEPEST)
        except RecursionError:
            continue
        yield sendable


def _sendable(value: Any, levels: int) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` with "?" for half characters, or raise RecursionError.

    JSON may hold half an emoji (``\\ud83d``), of which no UTF-8 can be made.
    """
    if not levels:
        raise RecursionError
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_sendable(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {_sendable(key, levels): _sendable(item, levels - 1) for key, item in value.items()}
    return value


def _meant(text: str) -> Iterator[dict[str, object]]:
    fenced = [match["body"] for match in _FENCE.finditer(text)]
    for part in (*fenced, text):
        yield from _strict(part)
    for part in (*fenced, text):
        yield from _repaired(part)


def _strict(text: str) -> Iterator[dict[str, object]]:
    """Yield the outermost objects that are JSON as they stand."""
    start = text.find("{")
    while start >= 0:
        try:
            found, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            # What follows may be a part of this broken one: the repair goes first.
            return
        if isinstance(found, dict):
            yield found
        start = text.find("{", end)


def _repaired(text: str) -> Iterator[dict[str, object]]:
    for opening in islice(_OPENING.finditer(text), STARTS):
        start = opening.start()
        for end in _ends(text, start):
            yield from _mended(text[start:end])


def _ends(text: str, start: int) -> Iterator[int]:
    """Yield where to take the text to end: at its last complete object, as it is, or earlier.

    The last entry of a list may be cut off in the middle of a word and look complete once it is
    repaired, so what ends before it goes first.
    """
    brace, comma = text.rfind("}", start) + 1, text.rfind(",", start)
    if start < brace < len(text):
        yield brace
    yield len(text)
    if start < comma:
        yield comma


def _mended(text: str) -> Iterator[dict[str, object]]:
    try:
        found = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError):
        return
    # The library returns a list where it takes the text for several values.
    for value in found if isinstance(found, list) else [found]:
        if isinstance(value, dict) and value:
            yield value
