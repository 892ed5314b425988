"""Finds the JSON objects and lists in an answer and tells thoughts from answers."""

import html
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from json import JSONDecoder
from typing import Any

from app.services.answers.text.quotation import UNESCAPED
from app.services.answers.text.scan import (
    DEEPEST,
    Bare,
    LongKeys,
    NoValueError,
    Scanned,
    Scanner,
    TooDeepError,
)

LONGEST = 262_144
"""Maximum characters of an answer: 2,048 tokens of at most 128 characters."""

_COUNTED_AT_ONCE = 64
"""Characters whose line ends are counted in the time that the decoder takes for one character."""

_MARK = re.compile(
    r"(?P<open>[{\[])"
    r"|(?P<think>◁think▷|<(?P<tag>think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
    r"|analysis)>)"
    r"|(?P<thought>◁/think▷|</(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
    r"|analysis)>)"
    r"|(?P<turn><\|start_header_id\|>\s*user)",
    re.IGNORECASE,
)
_LIST = re.compile(r"\[\s*[{\[\"'“]")
_MEMBER = re.compile(r"\s*(?:```\w*\s*)?[\"'“][\w .-]{1,80}[\"'”]\s*:")
_STRAY = re.compile(r"[^{\[]*?[\"'][\]}]|\s*+[^\s{\[][^{\[]*?[\]}]|[^{\[]*+[{\[][^{\[]*?[\]}]")
_MIXED = re.compile(
    r"[\[\s]\d{1,3},\d{3}(?:\.\d{1,9})?,\s+\d|,\s+-?\d{1,3},\d{3}(?:\.\d{1,9})?\s*[,\]]"
)
_ENTITY_FIRST = re.compile(r"[^{\[]*+[{\[][\s{\[]*+&(?:quot|#34|#39|apos);")
_HALVES = re.compile("\\\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_ESCAPED = re.compile(r"[{\[]\s*\\+\"")
_ESCAPED_FIRST = re.compile(r"[^{\[]*+[{\[][\s{\[]*+\\+\"")


@dataclass(frozen=True, slots=True)
class Written:
    """One object or list as the model wrote it; numbers are `Bare`, cut texts `Partial`."""

    value: Any
    end: int
    whole: bool = True
    left_out: tuple[str, ...] = ()
    """Places of values that are cut off or replaced by dots."""
    doubts: tuple[str, ...] = ()
    draft: bool = False
    """Whether it is part of the model's thoughts."""


def objects(text: str) -> list[Written]:
    """Return the outermost objects and lists in ``text``, in order, in linear time."""
    written = list(_Reader(_plain(text)).read())
    if _HALVES.search(text):
        return [replace(one, value=_sendable(one.value)) for one in written]
    return written


def _sendable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` with "?" in place of lone surrogates, which UTF-8 can't encode."""
    if isinstance(value, str):
        return type(value)(value.encode(errors="replace").decode())
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    return value


def _plain(text: str) -> str:
    """Return ``text`` with HTML entities and escaped quotes of the whole answer decoded."""
    if _ENTITY_FIRST.match(text):
        text = html.unescape(text)
    stripped = text.strip()
    if stripped[:1] == '"' and stripped[-1:] == '"' and _ESCAPED.search(stripped[:40]):
        try:
            inner = _decoder.decode(stripped)
        except ValueError:
            return text
        return inner if isinstance(inner, str) else text
    if _ESCAPED_FIRST.match(text) and '"' not in text.replace('\\"', ""):
        return text.replace('\\"', '"')
    return text


class _TwiceError(ValueError):
    """A key has two different values."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs) and any(members[key] != value for key, value in pairs):
        raise _TwiceError
    return members


_decoder = JSONDecoder(
    object_pairs_hook=_members, parse_float=Bare, parse_int=Bare, parse_constant=Bare, strict=False
)


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    thinking: bool = False
    spent: int = 0
    """Steps spent on strict readings that failed."""
    long_keys: LongKeys = field(default_factory=dict)

    def read(self) -> Iterator[Written]:
        drafts: list[Written] = []
        thought = 0
        while mark := _MARK.search(self.text, self.at):
            self.at = mark.end()
            if mark["turn"]:
                break
            if mark["think"]:
                self._skip_thought(mark)
            elif mark["thought"]:
                self.thinking = False
                thoughts = [replace(draft, draft=True) for draft in drafts[thought:]]
                drafts[thought:] = thoughts
                thought = len(drafts)
            else:
                self.at = mark.start()
                if (written := self._written()) is not None:
                    drafts.append(written)
                if self.at < 0:
                    break
        if not drafts and _MEMBER.match(self.text):
            # The answer may be members without braces.
            with suppress(NoValueError, TooDeepError):
                scanner = Scanner(self.text, self.text.find(_first_quote(self.text)))
                drafts.append(_from(scanner.members()))
        yield from drafts

    def _skip_thought(self, mark: re.Match[str]) -> None:
        if self.thinking:
            return
        closer = f"</{mark['tag']}>" if mark["tag"] else "◁/think▷"
        end = self.text.find(closer, self.at)
        self.thinking = end < 0
        self.at = self.at if self.thinking else end + len(closer)

    def _written(self) -> Written | None:
        start = self.at
        written = self._strict(start)
        if written is None:
            if self.text[start] == "[" and not _LIST.match(self.text, start):
                self.at = start + 1
                return None
            try:
                scanned = Scanner(self.text, start, self.long_keys).scan()
            except NoValueError as nothing:
                self.at = max(nothing.end, start + 1)
                return None
            except TooDeepError:
                # Parts of a value that is nested too deeply are not answers.
                self.at = -1
                return None
            written = self._certain(_from(scanned))
        self.at = written.end
        return replace(written, draft=self.thinking)

    def _certain(self, written: Written) -> Written:
        """Add a doubt if brackets are left over after a value, which may have ended too early."""
        # A bracket too many ends nothing; one of the wrong kind may stand before the rest.
        rest = self.text[written.end : written.end + 2000].lstrip("}] \t\r\n")
        if not _STRAY.match(rest.split("```")[0]):
            return written
        return replace(written, doubts=(*written.doubts, "the object: brackets are left over"))

    def _strict(self, start: int) -> Written | None:
        if self.spent > 2 * len(self.text) + 1000:
            return None
        try:
            value, end = _decoder.raw_decode(self.text, start)
        except (ValueError, RecursionError) as error:
            end = getattr(error, "pos", len(self.text))
            # To create the error, the decoder counts the lines of all text before it.
            self.spent += end - start + end // _COUNTED_AT_ONCE
            return None
        if UNESCAPED.search(self.text, start, end) or not _within(value, DEEPEST):
            return None
        if _MIXED.search(self.text, start, end):
            # Commas may group thousands, which the scanner decides.
            return None
        return Written(value, end)


def _first_quote(text: str) -> str:
    match = re.search(r"[\"'“]", text)
    assert match is not None
    return match[0]


def _from(scanned: Scanned) -> Written:
    return Written(
        scanned.value, scanned.end, scanned.whole, tuple(scanned.left_out), tuple(scanned.doubts)
    )


def _within(value: object, levels: int) -> bool:
    """Return whether ``value`` is nested no deeper than ``levels``."""
    level = [value]
    for _ in range(levels):
        inner: list[object] = []
        for part in level:
            if isinstance(part, dict):
                inner.extend(part.values())
            elif isinstance(part, list):
                inner.extend(part)
        if not inner:
            return True
        level = inner
    return False
