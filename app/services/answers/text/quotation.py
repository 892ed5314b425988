# ruff: noqa: RUF001 - reads the signs that people and models write
"""Reads quoted texts as models write them, with unescaped quotes and stray backslashes."""

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
"""Opening quotes and the quotes that may close them, their own first."""
_OWN_CLOSERS = {opener: closers[0] for opener, closers in QUOTES.items()} | {"„": "“”"}
_NEXT_OF_KIND = {
    opener: re.compile(rf"([^{opener}{own}]{{0,2000}}+)([{opener}{own}])")
    for opener, own in _OWN_CLOSERS.items()
}
_BEFORE_TEXT = (",", ";", ":", "{", "[")

_SEEN = {opener: re.compile(rf"[\\{re.escape(closers)}]") for opener, closers in QUOTES.items()}
_SPACE = r"[ \t\r]{0,200}+"
_GAP = r"[ \t\r\n]{0,200}+"
_OPENED = {
    closers: rf"{opener}(?:[^{opener}{closers}\"“”„«»\\\n]|\\.){{0,100}}+"
    for opener, closers in QUOTES.items()
}
_QUOTED_KEY = "|".join(f"{opened}[{closers}]" for closers, opened in _OPENED.items())
_KEY = rf"(?:{_QUOTED_KEY}){_SPACE}(?:=>|[:=])"
_LETTERS = r"\w\u0900-\u0dff\u0e00-\u0e7f"
"""Letters and the vowel signs of Hindi and Thai, which are no letters to `re`."""
_BARE_KEY = rf"(?:[^\W\d]|\$)[{_LETTERS}$-]{{0,80}}+{_SPACE}" + r"(?:=>|[:=])(?!//)"
_COMMENT = r"//|\#|/\*"
_CUT_KEY = rf"(?:{'|'.join(_OPENED.values())}|(?:{_QUOTED_KEY}){_SPACE})\Z"
_CUT_BARE_KEY = rf"(?:[^\W\d]|\$)[{_LETTERS}$-]{{0,80}}+\Z"

AFTER_KEY = re.compile(_GAP + r"(?:=>|[:=])")
_MAY_END = re.compile(
    rf"{_GAP}(?:=>|[:=]|\+{_GAP}[\"'`]|[,;]{_GAP}{_BARE_KEY})|{_SPACE}\n{_GAP}{_BARE_KEY}"
    r"|[ \t\r\n]{1,200}+[\"'`“„‘«][^\s,:;}\]]"
)
"""Matches what may follow the closing quote of a key, of a text joined to another or of one with
no comma behind it, or of one before a key without quotes."""
AFTER_MEMBER = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|[,;]{_GAP}(?:[}}\]]|\Z|{_KEY}|{_CUT_KEY}|{_COMMENT})|{_COMMENT}|{_KEY})"
)
AFTER_BARE_MEMBER = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|[,;]{_GAP}(?:[}}\]]|\Z|{_BARE_KEY}|{_KEY}|{_CUT_KEY}"
    rf"|{_CUT_BARE_KEY}|{_COMMENT})|{_COMMENT})"
    rf"|{_SPACE}\n{_GAP}{_BARE_KEY}"
)
AFTER_ITEM = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|[,;]{_GAP}(?:[\"'`“„‘«{{\[\d\]}}-]|\.\.\.|true|false|null|True|False|None"
    rf"|\Z|{_COMMENT})|{_COMMENT})|{_SPACE}\n{_GAP}[\"'`“„‘«]"
)
NEXT_MEMBER = re.compile(
    rf"{_GAP}(?:[}}\]]|\Z|{_KEY}|{_BARE_KEY}|{_CUT_KEY}|{_CUT_BARE_KEY}|{_COMMENT})"
)
"""Matches what may follow the comma after an unquoted value of an object."""

_COMMENTED = {
    opener: re.compile(rf"{_GAP}[,;]?{_GAP}(?://|\#)[^\n]{{0,500}}?[{closers}]\s*(?:[,;}}\]]|\Z)")
    for opener, closers in QUOTES.items()
}
"""Matches what seems to be a comment, but may be the rest of a text with its closing quote."""
_OWN_END = re.compile(r"[^“”,:\n]{0,200}+”")
"""Matches a text's closing curly quote after a straight quote inside the text."""

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.)|\Z)", re.DOTALL)
_PAIRS = r"(?<!\\)(?:\\\\)*+"
_LETTER = re.compile(_PAIRS + r"\\(?:[A-Zac-eg-mo-qsv-z]|u(?![0-9a-fA-F]{4}))")
"""Matches a backslash before a letter that it does not escape, as in paths and formulas."""
_LATEX = re.compile(
    r"\\(?:times|theta|tau|text[a-z]*\{|tfrac|nu|neq|nabla|notin|rho|right|rightarrow|rangle)"
    r"(?![A-Za-z])"
)
_TECHNICAL = (
    r"\\[bf][A-Za-z]|\\(?:times|theta)(?![A-Za-z])|(?<![A-Za-z])C:\\\w[\w ]*+\\[\w\\ ]*+\.\w{2,4}"
)
_TAIL = 200
"""Characters of white space that may follow the end of a text."""
_WORD = re.compile(r"\S+")
_HALF = re.compile(r"u[0-9a-fA-F]{0,3}\Z")
UNESCAPED = re.compile(_PAIRS + rf"(?:{_TECHNICAL})")
"""Matches escapes that are valid JSON but not meant, as in ``\\frac`` or ``C:\\new\\table.txt``."""


class Partial(str):
    """A text that was cut off."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Quoted:
    """One quoted text."""

    text: str
    end: int
    """The position after the closing quote."""
    doubtful: bool = False
    """Whether the text may end elsewhere, because something in it looks like the end of a key."""
    stops: int = 0
    """Number of quotes and backslashes that were examined."""


def quoted(source: str, start: int, after: re.Pattern[str]) -> Quoted:
    """Return the text whose opening quote is at ``start``.

    A quote closes the text if ``after`` matches behind it; other quotes belong to the text. If no
    quote closes it, the text is a `Partial` that ends with the source.
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
            if match[0] not in _OWN_CLOSERS[opener]:
                doubtful = doubtful or _may_go_on(source, end, opener, after)
            doubtful = doubtful or _COMMENTED[opener].match(source, end) is not None
            if inner and len(source) - end <= _TAIL and not source[end:].strip():
                # Behind a quote within the text, the last one before a cut may be within it too.
                return Quoted(Partial(_unfinished(source[begin:])), len(source), doubtful, stops)
            return Quoted(unescaped(source[begin : match.start()]), end, doubtful, stops)
        else:
            inner = True
            doubtful = doubtful or _MAY_END.match(source, at) is not None
    # If a text with quotes in it ends in a bracket, one of the quotes may have closed it.
    doubtful = doubtful or (inner and source[-1:] in ("}", "]"))
    return Quoted(Partial(_unfinished(source[begin:])), len(source), doubtful, stops)


def _may_go_on(source: str, end: int, opener: str, after: re.Pattern[str]) -> bool:
    """Return whether a text that a foreign quote closes at ``end`` may be closed by its own."""
    further = _NEXT_OF_KIND[opener].match(source, end)
    if further is None:
        return source[-1:] not in ("}", "]")
    if opener in _OWN_CLOSERS[opener]:
        before = further[1].rstrip()
        opens = before.endswith(_BEFORE_TEXT) or "\n" in further[1][len(before) :]
        begins = opens and not after.match(source, further.end())
    else:
        begins = further[2] == opener
    return not begins


def _unfinished(raw: str) -> str:
    # An incomplete escape at the cut is dropped.
    half = _HALF.search(raw[-4:])
    body = raw[: len(raw) - len(half[0])] if half else raw
    backslashes = len(body) - len(body.rstrip("\\"))
    return unescaped(body[:-1] if backslashes % 2 else raw)


def unescaped(raw: str) -> str:
    """Return ``raw`` unescaped; a backslash that escapes nothing stays a backslash.

    In a word with such a backslash before a letter, as in a path or a formula, all of them stay.
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
    # Before a lower-case letter a supposed line break is part of a path: ``C:\new``.
    return "".join(
        _decoded(part) if re.fullmatch(r"\\[nrt\\\"'`/]", part) else part
        for part in re.split(r"(\\[\\\"'`/]|\\[nrt](?![a-z]))", word)
    )


def _decoded(raw: str) -> str:
    def unescape(match: re.Match[str]) -> str:
        code, letter = match[1], match[2]
        if code:
            return chr(int(code, 16))
        if letter is None:
            return "\\"
        return _ESCAPES.get(letter) or (letter if letter in "\\\"'`/\n“”„‘’«»" else match[0])

    # Surrogate pairs become the character that they encode.
    return (
        _ESCAPE.sub(unescape, raw)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "surrogatepass")
    )
