# ruff: noqa: RUF001 - signs that people and models write are what this is about
"""Quoted texts as models write them: inner quotes left bare, backslashes that escape nothing."""

import re
from dataclasses import dataclass

QUOTES = {
    '"': '"”',
    "'": "'’",
    "`": "`",
    "“": '”"“',
    "„": '“”"',
    "«": "»",
    "‘": "’'",
}
"""Opening quotes and what may close them."""

_SEEN = {opener: re.compile(rf"[\\{re.escape(closers)}]") for opener, closers in QUOTES.items()}
_SPACE = r"[ \t\r]{0,200}+"
_GAP = r"[ \t\r\n]{0,200}+"
_KEY = r"[\"'`“„‘][^\"'`“”„’\n]{0,100}+[\"'`“”’]" + _SPACE + r"(?:=>|[:=])"
_BARE_KEY = r"[A-Za-z_$][\w$-]{0,80}+" + _SPACE + r"(?:=>|[:=])(?!//)"
_COMMENT = r"//|\#|/\*"
_CUT_KEY = r"[\"'`“„‘][^\"'`“”„’\n]{0,100}+(?:[\"'`“”’]" + _SPACE + r")?\Z"
_CUT_BARE_KEY = r"[A-Za-z_$][\w$-]{0,80}+\Z"

AFTER_KEY = re.compile(_GAP + r"(?:=>|[:=])")
_MAY_END = re.compile(_GAP + r"(?:=>|[:=]|\+" + _GAP + r"[\"'`])")
"""Matches what may follow a quote that ends a key, or a text joined to another."""
AFTER_MEMBER = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|[,;]{_GAP}(?:[}}\]]|\Z|{_KEY}|{_CUT_KEY}|{_COMMENT})|{_COMMENT}|{_KEY})"
)
AFTER_BARE_MEMBER = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|[,;]{_GAP}(?:[}}\]]|\Z|{_BARE_KEY}|{_KEY}|{_CUT_KEY}"
    rf"|{_CUT_BARE_KEY}|{_COMMENT})|{_COMMENT}"
    rf"|\n{_GAP}{_BARE_KEY})"
)
AFTER_ITEM = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|[,;]{_GAP}(?:[\"'`“„‘«{{\[\d\]}}-]|\.\.\.|true|false|null|True|False|None"
    rf"|\Z|{_COMMENT})|{_COMMENT}|\n{_GAP}[\"'`“„‘])"
)
NEXT_MEMBER = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|{_KEY}|{_BARE_KEY}|{_CUT_KEY}|{_CUT_BARE_KEY}|{_COMMENT})"
)
"""After the comma that ends a bare value of an object."""

_OWN_END = re.compile(r"[^“”,:\n]{0,200}+”")
"""Matches the curly quote that ends a text, behind a straight quote within the text."""

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.)|\Z)", re.DOTALL)
_PAIRS = r"(?<!\\)(?:\\\\)*+"
_LETTER = re.compile(_PAIRS + r"\\(?:[A-Zac-eg-mo-qsv-z]|u(?![0-9a-fA-F]{4}))")
"""A backslash before a letter that it does not escape, as in paths and formulas."""
_LATEX = re.compile(
    r"\\(?:times|theta|tau|text[a-z]*\{|tfrac|nu|neq|nabla|notin|rho|right|rightarrow|rangle)"
    r"(?![A-Za-z])"
)
_TECHNICAL = (
    r"\\[bf][A-Za-z]|\\(?:times|theta)(?![A-Za-z])|(?<![A-Za-z])C:\\\w[\w ]*+\\[\w\\ ]*+\.\w{2,4}"
)
_WORD = re.compile(r"\S+")
_HALF = re.compile(r"u[0-9a-fA-F]{0,3}\Z")
UNESCAPED = re.compile(_PAIRS + rf"(?:{_TECHNICAL})")
"""Backslashes that JSON allows and nobody means: ``\\frac``, ``C:\\new\\table.txt``."""


class Partial(str):
    """A text whose end is missing."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Quoted:
    """One quoted text."""

    text: str
    end: int
    """The position after the text, to read on from."""
    doubtful: bool = False
    """Whether it may end elsewhere: something in it looks like the end of a key."""
    stops: int = 0
    """Characters that were looked at one by one."""


def quoted(source: str, start: int, after: re.Pattern[str]) -> Quoted:
    """Return the text whose opening quote stands at ``start``.

    A quote ends it where ``after`` matches behind the quote; others belong to the text. Where none
    does, the text is a `Partial` and ends with the source.
    """
    opener = source[start]
    triple = source.startswith(opener * 3, start)
    width = 3 if triple else 1
    seen, begin = _SEEN[opener], start + width
    at, inner, doubtful, stops = begin, False, False, 0
    while match := seen.search(source, at):
        at, stops = match.end(), stops + 1
        if match[0] == "\\":
            at += 1
        elif triple and not source.startswith(opener * 3, match.start()):
            continue
        elif opener == "“" and match[0] != "”" and _OWN_END.match(source, at):
            inner = True
        elif after.match(source, end := match.start() + width):
            return Quoted(unescaped(source[begin : match.start()]), end, doubtful, stops)
        else:
            inner = True
            doubtful = doubtful or _MAY_END.match(source, at) is not None
    # A bracket at the end of a text with quotes in it: one of the quotes may have ended it.
    doubtful = doubtful or (inner and source[-1:] in ("}", "]"))
    return Quoted(Partial(_unfinished(source[begin:])), len(source), doubtful, stops)


def _unfinished(raw: str) -> str:
    # Half an escape at the cut stands for nothing.
    half = _HALF.search(raw[-4:])
    body = raw[: len(raw) - len(half[0])] if half else raw
    backslashes = len(body) - len(body.rstrip("\\"))
    return unescaped(body[:-1] if backslashes % 2 else raw)


def unescaped(raw: str) -> str:
    """Return ``raw`` unescaped; a backslash that escapes nothing stays a backslash.

    Of a word with such a backslash before a letter, as a path or a formula has, all are.
    """
    if "\\" not in raw:
        return raw
    if not _LETTER.search(raw) and not UNESCAPED.search(raw):
        return _decoded(raw)
    return _WORD.sub(lambda match: _word(match[0]), raw)


def _word(word: str) -> str:
    if "\\" not in word:
        return word
    if not (_LETTER.search(word) or UNESCAPED.search(word) or _LATEX.search(word)):
        return _decoded(word)
    # What stands behind a line break in a path begins in lower case: ``C:\new``.
    return "".join(
        _decoded(part) if re.fullmatch(r"\\[nrt\\\"'`/]", part) else part
        for part in re.split(r"(\\[\\\"'`/]|\\[nrt](?![a-z]))", word)
    )


def _decoded(raw: str) -> str:
    def said(match: re.Match[str]) -> str:
        code, letter = match[1], match[2]
        if code:
            return chr(int(code, 16))
        if letter is None:
            return "\\"
        return _ESCAPES.get(letter) or (letter if letter in "\\\"'`/\n" else match[0])

    # Pairs of surrogates become the one character that they stand for.
    return (
        _ESCAPE.sub(said, raw).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    )
