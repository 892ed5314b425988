"""Reads one JSON value as a model writes it, in a single pass and without guessing.

Accepts comments, trailing and missing commas, unquoted keys, any quotes, and the constants of
Python and JavaScript. Numbers stay as written. Cut-off and ambiguous values are reported.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from app.services.answers.text.quotation import (
    AFTER_BARE_MEMBER,
    AFTER_ITEM,
    AFTER_KEY,
    AFTER_MEMBER,
    NEXT_MEMBER,
    QUOTES,
    Partial,
    quoted,
)

DEEPEST = 64
"""Maximum nesting of a value; no form has as many levels."""
_LONGEST_KEY = 200

LongKeys = dict[str, tuple[int, int]]
"""Ranges in which no text is short enough to be a key, by the opening quote."""

_BLANK = re.compile(
    r"(?:[\s;]++|//[^\n]*+|\#[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|<!--(?:[^-]|-(?!->))*+(?:-->|\Z))*+"
)
_BARE = re.compile(r"[^,}\]\n]*+")
_BARE_KEY = re.compile(r"([\w$][\w$ .-]{0,80}?)\s{0,20}(?:=>|[:=])")
_CUT_KEY = re.compile(r"[\w$ .-]{0,100}+\Z")
_INNER_KEY = re.compile(
    r",\s{0,20}(?:[\"'`“„‘«]|(?:[^\W\d]|\$)[\w$ .-]{0,80}(?:=>|[:=])(?:\s|\Z)|\Z)"  # noqa: RUF001
)
"""Matches a key in an unquoted value, or a comma at its end, behind which a key was expected."""
_COMMENT = re.compile(r"\s(?:(?://|\#).*|/\*.*?(?:\*/|\Z))")
_LOOSE_BEFORE = re.compile(r",\s+-?\d{1,3},\Z")
_WORDS = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "None": None, "NULL": None, "nil": None, "undefined": None, "": None,
}  # fmt: skip


class Bare(str):
    """An unquoted number or word, as written."""

    __slots__ = ()


class NoValueError(ValueError):
    """The text is not JSON; reading continues at ``end``."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


class TooDeepError(ValueError):
    """A value is nested deeper than `DEEPEST`."""


@dataclass(slots=True)
class Scanned:
    """One scanned object or list."""

    value: Any
    end: int
    whole: bool = True
    """Whether all of its brackets are closed."""
    left_out: list[str] = field(default_factory=list)
    """Places of missing values, which were cut off or written as three dots."""
    doubts: list[str] = field(default_factory=list)
    """Places of ambiguous values, with the reason."""


@dataclass(slots=True)
class Scanner:
    """Reads the value that begins at ``at``; every step advances, so the time is linear."""

    text: str
    at: int = 0
    long_keys: LongKeys = field(default_factory=dict)
    """Shared by all scanners of a text, so that none searches for the same end again."""
    steps: int = 0
    _left_out: list[str] = field(default_factory=list)
    _doubts: list[str] = field(default_factory=list)
    _open: bool = False
    _bare_keys: bool = False

    def scan(self) -> Scanned:
        """Return the object or list at ``at``, or raise NoValueError or TooDeepError."""
        value = self._container("", 0)
        left_out = list(dict.fromkeys(self._left_out))
        return Scanned(value, self.at, not self._open, left_out, self._doubts)

    def members(self) -> Scanned:
        """Return the object at ``at``, whose opening brace is missing."""
        value = self._object("", 0)
        return Scanned(value, self.at, not self._open, self._left_out, self._doubts)

    def _container(self, place: str, depth: int) -> Any:  # noqa: ANN401 - any JSON value
        if depth >= DEEPEST:
            raise TooDeepError
        opener = self.text[self.at]
        self.at += 1
        return self._object(place, depth) if opener == "{" else self._list(place, depth)

    def _object(self, place: str, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        expects_more = True
        while mark := self._next():
            if mark in "}]":
                # A closing bracket ends the list around this object.
                self.at += mark == "}"
                return members
            if mark == "," or (mark == "{" and not members):
                self.at += 1
                expects_more = True
                continue
            expects_more = False
            key = self._key(members)
            if key is None and self.at >= len(self.text):
                break
            if key is None:
                self._doubt(place, "what stands beside its keys is not read")
                self.at = _BARE.match(self.text, self.at + 1).end()  # type: ignore[union-attr]
                continue
            self._member(members, key, f"{place}.{key}" if place else key, depth)
        self._open = True
        if not members and depth == 0:
            raise NoValueError(len(self.text))
        if expects_more or depth > 0:
            # Only the last brace is often forgotten; other ends may be missing with their values.
            self._left_out.append(place or "the object")
        return members

    def _key(self, members: dict[str, Any]) -> str | None:
        """Read a key and its colon and return the key, or None if there is none."""
        start = self.at
        if self.text[start] in QUOTES:
            if self._within_long_key(start):
                self._no_key(members)
                return None
            read = quoted(self.text, start, AFTER_KEY)
            self.steps += read.stops
            if isinstance(read.text, Partial) or len(read.text) > _LONGEST_KEY:
                # An escape uses at most six characters for one.
                each = 6 if "\\" in self.text[start : read.end] else 1
                least = read.end - each * (_LONGEST_KEY + 6)
                self.long_keys[self._opening(start)] = start, least
                if isinstance(read.text, Partial):
                    self._left_out.append(read.text[:40])
                    self.at = read.end
                self._no_key(members)
                return None
            colon = AFTER_KEY.match(self.text, read.end)
            assert colon is not None
            self.at = colon.end()
            return read.text
        bare = _BARE_KEY.match(self.text, start)
        if bare is None:
            self._no_key(members)
            return None
        self._bare_keys, self.at = True, bare.end()
        return bare[1]

    def _within_long_key(self, start: int) -> bool:
        """Return whether the text at ``start`` ends where one ended that is too long for a key."""
        begin, end = self.long_keys.get(self._opening(start), (0, 0))
        return begin < start < end

    def _opening(self, start: int) -> str:
        opener = self.text[start]
        return opener * 3 if self.text.startswith(opener * 3, start) else opener

    def _no_key(self, members: dict[str, Any]) -> None:
        """Go to the text's end if it was cut off in a key, or raise NoValueError in prose."""
        if cut := _CUT_KEY.match(self.text, self.at):
            self._left_out += [cut[0]] if cut[0] else []
            self.at = len(self.text)
        elif not members:
            raise NoValueError(self.at)

    def _member(self, members: dict[str, Any], key: str, place: str, depth: int) -> None:
        after = AFTER_BARE_MEMBER if self._bare_keys else AFTER_MEMBER
        value = self._value(place, depth, after, within_list=False)
        if value is _NONE:
            return
        if key in members and members[key] != value:
            self._doubt(place, "is given twice")
        members[key] = value

    def _list(self, place: str, depth: int) -> list[Any]:
        items: list[Any] = []
        while mark := self._next():
            if mark in "]}":
                self.at += mark == "]"
                return items
            if mark == ",":
                self.at += 1
                continue
            self.steps += 1
            own = f"{place}.{len(items)}" if place else str(len(items))
            was_open = self._open
            value = self._value(own, depth, AFTER_ITEM, within_list=True)
            if (self._open and not was_open) or isinstance(value, Partial):
                # A row that is cut off is left out as a whole.
                self._left_out[:] = [p for p in self._left_out if not p.startswith(f"{own}.")]
                self._left_out.append(own)
            elif value is not _NONE:
                items.append(value)
        self._open = True
        self._left_out.append(place or "the list")
        return items

    def _value(self, place: str, depth: int, after: re.Pattern[str], *, within_list: bool) -> Any:  # noqa: ANN401 - any JSON value
        mark = self._next()
        if not mark:
            self._open = True
            self._left_out.append(place)
            return _NONE
        if mark in "{[":
            return self._container(place, depth + 1)
        if mark in QUOTES:
            read = quoted(self.text, self.at, after)
            self.at, self.steps = read.end, self.steps + read.stops
            if read.doubtful:
                self._doubt(place, "has quotes in it that may end it")
            if isinstance(read.text, Partial):
                self._open = True
                if not within_list:
                    self._left_out.append(place)
            return read.text
        return self._word(place, within_list=within_list)

    def _word(self, place: str, *, within_list: bool) -> Any:  # noqa: ANN401 - any JSON value
        start = self.at
        while True:
            self.steps += 1
            self.at = _BARE.match(self.text, self.at).end()  # type: ignore[union-attr]
            # A comma followed by neither a key nor the end belongs to a number.
            if (
                within_list
                or not self.text.startswith(",", self.at)
                or NEXT_MEMBER.match(self.text, self.at + 1)
            ):
                break
            self.at += 1
        written = self.text[start : self.at]
        word = _COMMENT.sub("", written).rstrip("; \t\r").strip()
        if self.at >= len(self.text) and word not in ("true", "false", "null"):
            self._open = True
            self._left_out.append(place)
            return _NONE
        if word in ("...", "…"):
            self._left_out.append(place)
            return _NONE
        if '"' in word:
            self._doubt(place, "has a quote in it and none around it")
        if not within_list and _INNER_KEY.search(word):
            self._doubt(place, "may end before another key")
        if word in _WORDS:
            return _WORDS[word]
        if within_list and word[0].isdigit():
            self._commas(place, start)
        return Bare(word)

    def _commas(self, place: str, start: int) -> None:
        """Add a doubt if numbers of a list are separated both by ``,`` and by ``, ``."""
        before, after = self.text[max(0, start - 2) : start], self.text[self.at : self.at + 2]
        tight = before[-1:] == "," and before[:1].isdigit()
        loose = after == ", " or _LOOSE_BEFORE.search(self.text, max(0, start - 9), start)
        if tight and loose:
            self._doubt(place.rpartition(".")[0], "commas part its numbers, or stand within them")

    def _next(self) -> str:
        """Skip whitespace and comments and return the next character, "" at the end."""
        self.steps += 1
        self.at = _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]
        return self.text[self.at : self.at + 1]

    def _doubt(self, place: str, reason: str) -> None:
        self._doubts.append(f"{place or 'the object'}: {reason}")


_NONE = object()
"""A sentinel for a missing value."""
