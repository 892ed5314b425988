# ruff: noqa: RUF001 - signs that people and models write are what this is about
"""Citations in an answer: markers as ``[2]``, sentences, and whether a quote is in its source.

Pure, and in steps proportional to the texts' lengths.
"""

import re
import unicodedata
from collections.abc import Iterator, Set
from dataclasses import dataclass
from enum import StrEnum

NOT_IN_SOURCES = "NOT IN SOURCES"
"""The text that the model is asked to write if its sources do not hold the answer."""
LONGEST_MARKER = 40
"""Maximum characters between the brackets of a marker."""
MOST_REMOVED = 200
"""Maximum numbers that are reported as removed: a range of ten characters may have a hundred."""

_NUMBERS = r"\d{1,3}(?: {0,2}(?:,|;|and|-|–) {0,2}(?:source[ _]?)?\d{1,3})*"
_MARKER = re.compile(rf"[ \t]{{0,8}}[\[【](?:sources?[ _]?)? ?({_NUMBERS}) ?[\]】]", re.IGNORECASE)
_OPEN = re.compile(rf"[ \t]{{0,8}}(?:[\[【][\w ,;–-]{{0,{LONGEST_MARKER}}})?\Z")
_PIECE = re.compile(r"(\d+)(?:\s*[-–]\s*(?:source[ _]?)?(\d+))?")
_END = re.compile(
    r"""(?<![.!?…。！？])[.!?…。！？]++["'”’»)\]]{0,3}(?:\s{0,2}\[\d{1,3}\])*(?=\s|\Z)|\n+"""
)
_ONE = re.compile(r"\s?\[(\d{1,3})\]")
_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»\n]{1,2000})[\"”“»]")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"\S{1,1000}|\s+")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|\d{1,2}|No|Nr|Mr|Mrs|Ms|Dr|St|vs|etc|e\.g|i\.e)\.$"
)
_DENIAL = re.compile(
    r"\b(?:sources?|documents?|context|passages?|texts?|information|excerpts?)\b[^.\n]{0,60}"
    r"\b(?:do(?:es)?(?: not|n['’]t)|(?:is|are) not|isn['’]t|aren['’]t|no)\b",
    re.IGNORECASE,
)
_NORMAL = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛", "'"),
        **dict.fromkeys("“”„‟«»", '"'),
        **dict.fromkeys("–—‐‑−", "-"),
        "\u00ad": None,
        "\u200b": None,
    }
)


class QuoteMatch(StrEnum):
    """How far a quote agrees with its source."""

    EXACT = "exact"
    """Character by character."""
    WHITESPACE = "whitespace"
    """If blanks and line breaks count as one."""
    FOLDED = "folded"
    """If case, quotation marks and dashes are ignored too."""


class Wording:
    """A text in the forms in which quotes are searched, each made once and only if needed."""

    __slots__ = ("_folded", "_spaced", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._spaced: str | None = None
        self._folded: str | None = None

    @property
    def spaced(self) -> str:
        """The text with one blank for each run of white space."""
        if self._spaced is None:
            self._spaced = _spaced(self.text)
        return self._spaced

    @property
    def folded(self) -> str:
        """The same without case, and with one kind of quotation marks and dashes."""
        if self._folded is None:
            self._folded = _folded(self.spaced)
        return self._folded


def match(quote: Wording, source: Wording) -> QuoteMatch | None:
    """Return how ``quote`` occurs in ``source``; None if it does not."""
    if not quote.spaced:
        return None
    if quote.text in source.text:
        return QuoteMatch.EXACT
    if quote.spaced in source.spaced:
        return QuoteMatch.WHITESPACE
    return QuoteMatch.FOLDED if quote.folded in source.folded else None


def _spaced(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _folded(text: str) -> str:
    # In bounded pieces: normalisation sorts a run of marks in a time that grows with its square.
    words = _WORD.findall(text)
    plain = "".join([unicodedata.normalize("NFKC", word) for word in words])
    return _spaced(plain.translate(_NORMAL).casefold())


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an answer."""

    text: str
    """The sentence without its markers."""
    markers: tuple[int, ...]
    """The sources that it names, in order, each once."""

    @property
    def quotes(self) -> tuple[str, ...]:
        """Texts between quotation marks, of two words or more."""
        quoted = (match[1].strip() for match in _QUOTED.finditer(self.text))
        return tuple(text for text in quoted if len(text.split()) > 1)


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text whose markers all lead to a source."""

    text: str
    removed: tuple[int, ...] = ()
    """Numbers without a source, in order and with repetitions, up to `MOST_REMOVED`."""


class MarkerFilter:
    """Passes on a text with its markers written as ``[n]``, without those that have no source.

    The text may arrive in pieces: a possible beginning of a marker is held back. The result is the
    same as for the whole text.
    """

    def __init__(self, sources: Set[int]) -> None:
        self._sources = sources
        self._held = ""
        self.removed: list[int] = []
        """Numbers without a source."""
        self.cited: dict[int, None] = {}
        """Numbers of the cited sources, in order."""

    def feed(self, piece: str, *, last: bool = False) -> str:
        """Return the text that can be passed on."""
        text, self._held = self._held + piece, ""
        if not last and (opened := _OPEN.search(text, max(0, len(text) - LONGEST_MARKER - 10))):
            text, self._held = text[: opened.start()], text[opened.start() :]
        return _MARKER.sub(self._written, text)

    def _written(self, match: re.Match[str]) -> str:
        if len(match[0].strip()) > LONGEST_MARKER:
            return match[0]
        numbers = list(_numbered(match[1]))
        kept = [number for number in numbers if number in self._sources]
        unknown = [number for number in numbers if number not in self._sources]
        self.removed += unknown[: max(0, MOST_REMOVED - len(self.removed))]
        self.cited.update(dict.fromkeys(kept))
        if not kept:
            return ""
        blank = " " if match[0][0] in " \t" else ""
        return blank + "".join(f"[{number}]" for number in dict.fromkeys(kept))


def _numbered(text: str) -> Iterator[int]:
    for piece in _PIECE.finditer(text):
        first, last = int(piece[1]), int(piece[2] or piece[1])
        yield from range(first, min(last, first + 100) + 1) if last >= first else (first, last)


def marked(text: str, sources: Set[int]) -> MarkedText:
    """Return ``text`` with only those markers that lead to one of ``sources``."""
    markers = MarkerFilter(sources)
    kept = markers.feed(text, last=True)
    return MarkedText(kept, tuple(markers.removed))


def sentences(text: str) -> tuple[Sentence, ...]:
    """Return the sentences of ``text``, whose markers are written as ``[n]``."""
    return tuple(
        Sentence(words, tuple(dict.fromkeys(int(number) for number in _ONE.findall(part))))
        for part in parts(text)
        if re.search(r"\w", words := _ONE.sub("", part).strip())
    )


def parts(text: str) -> list[str]:
    """Return ``text`` cut after each sentence; together the parts are the text again."""
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    cuts, start, passed = [], 0, 0
    for end in _END.finditer(text):
        while passed < len(quoted) and quoted[passed][1] <= end.start():
            passed += 1
        within = passed < len(quoted) and quoted[passed][0] < end.start()
        # A quote may hold several sentences.
        if (within and end.end() < quoted[passed][1]) or _abbreviated(text, end):
            continue
        cuts.append(text[start : end.end()])
        start = end.end()
    return [part for part in (*cuts, text[start:]) if part]


def _abbreviated(text: str, end: re.Match[str]) -> bool:
    before = text[max(0, end.start() - 8) : end.start() + 1]
    return end[0][0] == "." and _ABBREVIATION.search(before) is not None


def without_markers(text: str) -> str:
    """Return an earlier answer without its markers, which refer to other sources."""
    return _MARKER.sub("", text)


def denies(text: str) -> bool:
    """Whether ``text``, an answer without a citation, says that the sources do not answer."""
    if NOT_IN_SOURCES in text.upper():
        return True
    first = text.strip()[:400]
    return len(text) < 600 and _DENIAL.search(first) is not None
