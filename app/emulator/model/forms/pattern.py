"""A short text that a regular expression matches, made by walking the expression.

Literals, classes, groups, alternatives and repetitions are followed; look-around, conditions and
references back are not.
"""

import re
from string import ascii_letters, digits, printable

_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_ANCHORS = "AZzbB"
_ALPHABET = f"{digits}{ascii_letters}{printable}\u00e9"
_COUNT = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_LONGEST = 10_000


class UnsupportedPatternError(ValueError):
    """The expression holds what this module can't follow."""


def example(pattern: str) -> str:
    """Return a short text that the whole of ``pattern`` matches.

    Raises `UnsupportedPatternError`.
    """
    walk = _Walk(pattern)
    text = walk.alternatives()
    if walk.rest or re.fullmatch(pattern, text) is None:
        raise UnsupportedPatternError(f"no text is found for the pattern {pattern!r}")
    return text


class _Walk:
    """A place in a pattern, moved on as its parts are read."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def rest(self) -> str:
        return self._pattern[self._at :]

    def _take(self, count: int = 1) -> str:
        if self._at + count > len(self._pattern):
            raise UnsupportedPatternError("the pattern ends too early")
        self._at += count
        return self._pattern[self._at - count : self._at]

    def alternatives(self) -> str:
        """Return an example of the first alternative, and pass over the others."""
        first = self._sequence()
        while self.rest.startswith("|"):
            self._take()
            self._sequence()
        return first

    def _sequence(self) -> str:
        parts, length = [], 0
        while self.rest and self.rest[0] not in "|)":
            part = self._atom()
            least = self._repetitions()
            length += len(part) * least
            if length > _LONGEST:
                raise UnsupportedPatternError("the pattern wants too long a text")
            parts.append(part * least)
        return "".join(parts)

    def _atom(self) -> str:
        match character := self._take():
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case ".":
                return "a"
            case "^" | "$":
                return ""
        return character

    def _group(self) -> str:
        if self.rest.startswith("?"):
            named = re.match(r"\?(?::|P<\w+>)", self.rest)
            if named is None:
                raise UnsupportedPatternError("look-around and conditions are not supported")
            self._take(named.end())
        inner = self.alternatives()
        self._take()
        return inner

    def _class(self) -> str:
        start = self._at - 1
        self._take(self.rest.startswith("^"))
        # A bracket in the first place is one of the class.
        self._take(self.rest.startswith("]"))
        while self.rest and self.rest[0] != "]":
            self._take(2 if self.rest[0] == "\\" else 1)
        self._take()
        wanted = re.compile(self._pattern[start : self._at])
        for character in _ALPHABET:
            if wanted.match(character):
                return character
        # None of the usual characters: one that the class itself names.
        return self._pattern[start + 1]

    def _escape(self) -> str:
        character = self._take()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _ANCHORS:
            return ""
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in "xu":
            return chr(int(self._take(2 if character == "x" else 4), 16))
        if character.isalnum():
            raise UnsupportedPatternError(f"\\{character} is not supported")
        return character

    def _repetitions(self) -> int:
        """Return the least count of the part before, past its quantifier."""
        count = _COUNT.match(self.rest)
        if count and (count[1] or count[2]):
            self._take(count.end())
            least = int(count[1] or 0)
        elif self.rest[:1] in ("?", "*", "+"):
            least = int(self._take() == "+")
        else:
            return 1
        if self.rest[:1] in ("?", "+"):
            self._take()
        return least
