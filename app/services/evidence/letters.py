"""Searches a page's letters for a value, regardless of spaces and line breaks."""

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import cached_property
from itertools import accumulate

from app.services.evidence.figures import same_figures
from app.services.evidence.text import TOKEN, composed, folded, tokens
from app.services.evidence.words import Word

ALIKE = 0.8
"""Minimum similarity, 0 to 1, of a value and the text read for an approximate match."""
SHORTEST = 5
"""Minimum letters of a misread value that can be told from a different one."""
EIGHTH = 8
"""One letter in so many of a word may be misread, and one of a word of `SHORTEST` letters."""
LONGEST = 660
"""Maximum letters of a value for which misreadings are searched."""
LOOKS = 400_000
"""Maximum letters compared for one value, since page and value may repeat a single letter."""
STEPS = 20_000
"""Maximum letters of places that are examined closely for one value."""
CUBES = 300_000_000
"""Maximum sum of the cubed lengths of a page's values whose misreadings are searched. The time for
the worst texts grows by that: one value of 660 letters, or fourteen hundred of sixty."""
TRIED = 4
"""Maximum places examined for a misread value, those most similar to it."""
_COMMON = 30
"""Occurrences above which a sequence of three letters is ignored."""
_CUT, _WITHIN, _SOFT, _EDGE = -1, 0, 1, 2
"""What precedes a letter: a digit of the same number, a letter of the same word, a place where
words may have been run together, or another word."""
_JOINTS = frozenset(".,:/'\u2019-\u2013")
"""Signs inside numbers, as ``42`` would be cut out of ``42.10``."""
_ADDRESS = re.compile(r"@|://|^www\.")
_UNIT = re.compile(r"\d\s?[^\W\d_]{1,3}")
_PER = re.compile(r"/[^\W\d_]")
_CASED = re.compile(r"\d\s?([kKMmGT]?(?:[WVAJ]|Hz|Pa|[bB]))(?![^\W_])")
_COMPARISON = re.compile("[<>\u2264\u2265]")
_GRADE = re.compile(r"[^\W_]([+#-]+)[^\w+#-]*$")
"""Matches the signs of A+ and C# after the last letter; a lone hyphen may be a line break's."""
_LAST = 9
"""Characters at a text's end that are searched for such signs."""
GRADE = 3
"""Letters from which a hyphen at the end belongs to a line break and not to a grade: ``A-``."""
_WORD = 3
"""Minimum letters beside digits that may be a separate word; fewer belong to a code: ``12A``."""


@dataclass(frozen=True)
class Letters:
    """The folded letters and digits of a page's words as one text."""

    text: str
    words: Sequence[int]
    """Index of the word of each letter."""
    places: Sequence[int]
    """Position of each letter in the word's composed spelling."""
    edges: Sequence[int]
    """The kind of edge before each letter and after the last."""
    spelt: Sequence[str]
    """The words in composed spelling."""
    _misread: dict[str, tuple[int, int] | None] = field(default_factory=dict, compare=False)
    """Results of earlier searches by value."""

    @classmethod
    def of_words(cls, words: Sequence[Word]) -> "Letters":
        """Return the letters of a page."""
        spelt = [composed(word.text) for word in words]
        text: list[str] = []
        owners: list[int] = []
        places: list[int] = []
        edges: list[int] = []
        for owner, word in enumerate(spelt):
            before, gap = "", " "
            for place, char in enumerate(word):
                if not TOKEN.fullmatch(char):
                    gap += char
                    continue
                for letter in folded(char):
                    text.append(letter)
                    owners.append(owner)
                    places.append(place)
                    edges.append(_edge(before, gap, char))
                    before, gap = char, ""
        letters = cls("".join(text), owners, places, [*edges, _EDGE], spelt)
        return replace(letters, edges=list(letters._coded()))

    def _coded(self) -> Iterator[int]:
        """Yield the edges, treating those between a code's letters and digits as within a word."""
        for place, edge in enumerate(self.edges):
            side = -1 if edge == _SOFT and self.text[place].isdigit() else 1
            digits = edge == _SOFT and self.text[place - (side > 0)].isdigit()
            few = digits and self._run(place - (side < 0), side) < _WORD
            yield _WITHIN if few and not is_spaceless(self.text[place]) else edge

    def _run(self, place: int, side: int) -> int:
        """Return the number of joined letters from ``place`` towards ``side``, at most `_WORD`."""
        length = 1
        while length < _WORD and self.edges[place + (side > 0)] == _WITHIN:
            place, length = place + side, length + 1
        return length

    def spelled(self, value: str) -> Iterator[tuple[int, int]]:
        """Yield the spans with the letters of ``value``, regardless of spaces and signs.

        Their numbers mean the same, and neither words nor numbers are cut.
        """
        parts, usual = tokens(value), composed(value)
        sought = "".join(parts)
        start = self.text.find(sought) if sought else -1
        looks, steps = LOOKS, STEPS
        while start >= 0 and looks > 0 and steps > 0:
            end = start + len(sought)
            looks -= len(sought)
            if self._stands(parts, start, end):
                steps -= len(sought)
                if self._means(usual, start, end):
                    yield start, end
            start = self.text.find(sought, start + 1)

    def _means(self, value: str, start: int, end: int) -> bool:
        """Return whether a span with the letters of ``value`` also has its significant signs."""
        span = self.span(start, end)
        if not same_figures(value, span):
            return False
        read = "".join(span.casefold().split())
        if any(address not in read for address in _addresses(value.casefold())):
            return False
        compared = _COMPARISON.findall(value)
        if compared and compared != _COMPARISON.findall(f"{self._sign_before(start)}{span}"):
            return False
        if _differ(_cased_units(value), _cased_units(span)):
            return False
        behind = self.spelt[self.words[end - 1]][self.places[end - 1] + 1 :]
        grades = {_grade(value), _grade(f"x{behind}")}
        if len(grades) > 1 and (grades != {"", "-"} or end - start < GRADE):
            return False
        # 5 km/h is not a length.
        return not (_PER.match(behind) and _UNIT.search(value, max(0, len(value) - 5)))

    def _sign_before(self, start: int) -> str:
        """Return the word before a letter's word if it has only signs, as in ``≤ 5``."""
        before = self.spelt[max(0, self.words[start] - 1)]
        return "" if TOKEN.search(before) else before

    def _stands(self, parts: Sequence[str], start: int, end: int) -> bool:
        """Return whether the span is made of whole words."""
        first, last = self.edges[start], self.edges[end]
        least, length = min(first, last), end - start
        if least in (_CUT, _EDGE):
            return least == _EDGE
        if least == _SOFT:
            return length >= SHORTEST or any(map(is_spaceless, self.text[start:end]))
        # A span may begin or end inside a word only if words were run together.
        inner = self.edges[start + len(parts[0])], self.edges[end - len(parts[-1])]
        together = all(
            own != _WITHIN or beside != _EDGE
            for own, beside in zip((first, last), inner, strict=True)
        )
        return together and len(parts) > 1 and length >= 2 * SHORTEST

    def span(self, start: int, end: int) -> str:
        """Return the text from one letter to another, with the signs around it."""
        first, last = self.words[start], self.words[end - 1]
        begin, stop = self.places[start], self.places[end - 1] + 1
        words = list(self.spelt[first : last + 1])
        while stop < len(words[-1]) and not TOKEN.fullmatch(words[-1][stop]):
            stop += 1
        words[-1] = words[-1][:stop]
        while begin > 0 and not TOKEN.fullmatch(words[0][begin - 1]):
            begin -= 1
        words[0] = words[0][begin:]
        return " ".join(words)

    def between(self, start: int, end: int) -> tuple[int, int]:
        """Return the indexes of the words of the first and the last of these letters."""
        return self.words[start], self.words[end - 1]

    def misread(self, value: str) -> tuple[int, int] | None:
        """Return the span most similar to ``value``, or None."""
        parts = tokens(value)
        sought = "".join(parts)
        if not SHORTEST <= len(sought) <= LONGEST:
            return None
        if (known := " ".join(parts)) not in self._misread:
            spent = sum(len(value) ** 3 for value in self._misread)
            if spent + len(sought) ** 3 > CUBES:
                return None
            self._misread[known] = self._most_alike(sought, parts)
        place = self._misread[known]
        return place if place and self._means(composed(value), *place) else None

    def _most_alike(self, sought: str, parts: Sequence[str]) -> tuple[int, int] | None:
        best, result = ALIKE, None
        for start in self._candidates(sought):
            start, end = self._window(start, sought)
            read = self.text[start:end]
            # A different digit makes a different value, however similar the rest is.
            if _digits(read) != _digits(sought):
                continue
            matcher = SequenceMatcher(None, read, sought, autojunk=False)
            ratio = matcher.ratio()
            better = ratio > best or (ratio == best and result is None)
            steps = matcher.get_opcodes()
            if better and _each_alike(steps, parts) and self._begins_alike(start, steps, parts):
                best, result = ratio, (start, end)
        return result

    def _begins_alike(
        self, start: int, steps: Iterable[tuple[str, int, int, int, int]], parts: Sequence[str]
    ) -> bool:
        """Return whether no word has a letter more or less at its beginning, as in ``atypical``."""
        begins = {0, *accumulate(map(len, parts))}
        return not any(
            (kind == "delete" and self.edges[start + place] >= _SOFT)
            or (kind == "insert" and first in begins)
            for kind, place, _, first, _ in steps
        )

    def _window(self, start: int, sought: str) -> tuple[int, int]:
        """Return the span of whole words around ``start`` that is most similar to ``sought``."""
        slack = len(sought) // 4 + 1
        first = max(0, start - slack)
        last = min(len(self.text), start + len(sought) + slack)
        blocks = SequenceMatcher(None, self.text[first:last], sought, autojunk=False)
        common = [block for block in blocks.get_matching_blocks() if block.size]
        begin = first + max(0, common[0].a - common[0].b) if common else first
        end = first + common[-1].a + len(sought) - common[-1].b if common else last
        # Extended to whole words and numbers, as a part of one means something else.
        while self.edges[begin] < _SOFT:
            begin -= 1
        end = max(begin + 1, min(len(self.text), end))
        while self.edges[end] < _SOFT:
            end += 1
        return begin, end

    def _candidates(self, sought: str) -> list[int]:
        votes: Counter[int] = Counter()
        width = len(sought) // 4 + 1
        for place in range(len(sought) - 2):
            starts = self._triples.get(sought[place : place + 3], ())
            if len(starts) <= _COMMON:
                votes.update(max(0, start - place) // width for start in starts)
        return [bin_ * width for bin_, _ in votes.most_common(TRIED)]

    @cached_property
    def _triples(self) -> dict[str, list[int]]:
        triples: dict[str, list[int]] = defaultdict(list)
        for place in range(len(self.text) - 2):
            triples[self.text[place : place + 3]].append(place)
        return triples


def _edge(before: str, gap: str, char: str) -> int:
    digits = before.isdigit() and char.isdigit()
    if digits and (not gap or gap in _JOINTS):
        return _CUT
    if gap or not before:
        return _EDGE
    joined = before.isdigit() != char.isdigit() or (before.islower() and char.isupper())
    return _SOFT if joined or is_spaceless(before) or is_spaceless(char) else _WITHIN


def _each_alike(steps: Iterable[tuple[str, int, int, int, int]], parts: Sequence[str]) -> bool:
    """Return whether each word is similar by itself, as a different word changes the meaning."""
    ends = list(accumulate(map(len, parts)))
    missing, surplus = [0] * len(parts), [0] * len(parts)
    for kind, begin, end, start, stop in steps:
        if kind == "equal":
            continue
        # A difference between two words may belong to either.
        first, last = bisect_left(ends, start), bisect_left(ends, max(stop, start + 1))
        for place in range(first, min(last + 1, len(parts))):
            missing[place] += stop - start
            surplus[place] += end - begin
    return all(
        max(less, more) <= (len(part) // EIGHTH or int(len(part) >= SHORTEST))
        for part, less, more in zip(parts, missing, surplus, strict=True)
    )


def _addresses(text: str) -> Iterator[str]:
    """Yield the e-mail and web addresses in ``text``."""
    return (word.rstrip("/.,;)") for word in text.split() if _ADDRESS.search(word))


def _cased_units(text: str) -> list[str]:
    """Return the units in ``text`` that mean something else in another case, such as mW and MW."""
    return [unit.replace("K", "k") for unit in _CASED.findall(text)]


def _differ(units: Sequence[str], others: Sequence[str]) -> bool:
    return len(units) == len(others) and units != others


def _grade(text: str) -> str:
    match = _GRADE.search(text[-_LAST:])
    return match[1] if match else ""


def is_spaceless(char: str) -> bool:
    """Return whether ``char`` is Chinese, Japanese, Thai, Lao or Khmer, written without spaces."""
    return (
        "\u2e80" <= char <= "\u9fff"
        or "\uf900" <= char <= "\ufaff"
        or "\u0e00" <= char <= ("\u0eff")
        or "\u1780" <= char <= "\u17ff"
        or char >= "\U00020000"
    )


def _digits(text: str) -> list[str]:
    return [char for char in text if char.isdigit()]
