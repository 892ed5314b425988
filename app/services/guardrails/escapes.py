r"""Undoes JSON's escapes in an answer, which hide words from a guardrail. Pure.

``{"text": "one\nsecret"}`` does not contain the word ``secret``, but its reader sees it.
"""

import json
import re

_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.", re.DOTALL)
_WHITE = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}
_OTHERS = {"\\/": "/", "\\b": " ", "\\f": " "}
_BETWEEN = str.maketrans("\n\t\r", "   ")


def read(text: str) -> str:
    """Return a JSON text with its strings' characters as they are read, in lines and words.

    Quotes and backslashes stay escaped, and white space between its parts becomes blanks, so that
    `written` can undo it.
    """
    if "\\" not in text:
        return text
    return _ESCAPES.sub(_character, text.translate(_BETWEEN))


def written(text: str) -> str:
    """Return a text returned by `read`, possibly masked since, as JSON text again."""
    for escape, character in _WHITE.items():
        text = text.replace(character, escape)
    return text


def is_json(text: str) -> bool:
    """Whether ``text`` is JSON, which every reader reads the same way."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _character(escape: re.Match[str]) -> str:
    spelt = escape[0]
    if len(spelt) == 2:
        return _WHITE.get(spelt) or _OTHERS.get(spelt, spelt)
    decoded = str(json.loads(f'"{spelt}"'))
    return "".join(_usual(character) for character in decoded)


def _usual(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if "\ud800" <= character <= "\udfff":
        return f"\\u{ord(character):04x}"
    return max(character, " ")
