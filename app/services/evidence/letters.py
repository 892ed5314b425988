"""The letters of a page in one row, to look for a value whatever its spaces and lines."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property

from app.services.evidence.text import TOKEN, composed, folded, tokens
from app.services.evidence.words import Word

ALIKE = 0.8
"""Similarity of a value and what is read from which it is approximately the same, 0 to 1."""
SHORTEST = 5
"""Letters from which a misread value can be told from another one."""
LONGEST = 660
"""Letters up to which a misread value is looked for."""
PLACES = 500
"""Places of a value that are looked at: a page may repeat one letter, and so may the value."""
CUBES = 300_000_000
"""Letters cubed of all misread values of a page that are looked for: the worst texts take time by
that: one of 660 letters, or fourteen hundred of sixty."""
TRIED = 4
"""Places that are looked at for a misread value: those with most in common with it."""
_COMMON = 30
"""Places of three letters from which these tell nothing."""
_CUT, _WITHIN, _SOFT, _EDGE = -1, 0, 1, 2
"""What is before a letter: a digit of the same number, a letter of the same word, a place where
words may have been run together, another word."""


@dataclass(frozen=True)
class Letters:
    """The letters and digits of a page's words, folded."""

    text: str
    words: Sequence[int]
    """The word of each letter."""
    edges: Sequence[int]
    """Before each letter, and behind the last."""
    _misread: dict[str, tuple[int, int] | None] = field(default_factory=dict, compare=False)
    """The places of values that were looked for."""

    @classmethod
    def of_words(cls, words: Sequence[Word]) -> "Letters":
        """Return the letters of a page."""
        text: list[str] = []
        places: list[int] = []
        edges: list[int] = []
        for place, word in enumerate(words):
            before = ""
            for char in composed(word.text):
                if not TOKEN.fullmatch(char) or char == "_":
                    before = ""
                    continue
                for letter in folded(char):
                    text.append(letter)
                    places.append(place)
                    edges.append(_edge(before, char))
                    before = char
        return cls("".join(text), places, [*edges, _EDGE])

    def run_together(self, value: str) -> Iterator[tuple[int, int]]:
        """Yield the first and last word of each place that has ``value`` but for its spaces."""
        parts = tokens(value)
        sought = "".join(parts)
        place = self.text.find(sought) if len(sought) > 1 else -1
        for _ in range(PLACES):
            if place < 0:
                return
            end = place + len(sought)
            if _stands(sought, len(parts), (self.edges[place], self.edges[end])):
                yield self.words[place], self.words[end - 1]
            place = self.text.find(sought, place + 1)

    def misread(self, value: str) -> tuple[int, int] | None:
        """Return the first and last word of what is most like ``value``, None for nothing."""
        sought = "".join(tokens(value))
        if not SHORTEST <= len(sought) <= LONGEST:
            return None
        if sought not in self._misread:
            spent = sum(len(known) ** 3 for known in self._misread)
            if spent + len(sought) ** 3 > CUBES:
                return None
            self._misread[sought] = self._most_alike(sought)
        return self._misread[sought]

    def _most_alike(self, sought: str) -> tuple[int, int] | None:
        best, result = ALIKE, None
        for start in self._candidates(sought):
            start, end = self._window(start, sought)
            read = self.text[start:end]
            # Another digit is another value, however much else is the same.
            if _digits(read) != _digits(sought):
                continue
            ratio = SequenceMatcher(None, read, sought, autojunk=False).ratio()
            if ratio > best or (ratio == best and result is None):
                best, result = ratio, (self.words[start], self.words[end - 1])
        return result

    def _window(self, start: int, sought: str) -> tuple[int, int]:
        """Return the words around a place that have most in common with ``sought``."""
        slack = len(sought) // 4 + 1
        first = max(0, start - slack)
        last = min(len(self.text), start + len(sought) + slack)
        blocks = SequenceMatcher(None, self.text[first:last], sought, autojunk=False)
        common = [block for block in blocks.get_matching_blocks() if block.size]
        begin = first + max(0, common[0].a - common[0].b) if common else first
        end = first + common[-1].a + len(sought) - common[-1].b if common else last
        # Whole words and numbers: a part of one is another one.
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


def _edge(before: str, char: str) -> int:
    if not before:
        return _EDGE
    if before.isdigit() and char.isdigit():
        return _CUT
    joined = before.isdigit() != char.isdigit() or (before.islower() and char.isupper())
    return _SOFT if joined or is_spaceless(before) or is_spaceless(char) else _WITHIN


def is_spaceless(char: str) -> bool:
    """Whether ``char`` is of a script without spaces: Chinese, Japanese, Thai, Lao, Khmer."""
    return (
        "\u2e80" <= char <= "\u9fff"
        or "\uf900" <= char <= "\ufaff"
        or "\u0e00" <= char <= ("\u0eff")
        or "\u1780" <= char <= "\u17ff"
        or char >= "\U00020000"
    )


def _stands(sought: str, parts: int, edges: tuple[int, int]) -> bool:
    """Whether a value between these edges is one by itself."""
    least = min(edges)
    if least == _EDGE:
        return len(sought) >= SHORTEST or not sought.isdigit()
    if least == _SOFT:
        return len(sought) >= SHORTEST or any(map(is_spaceless, sought))
    return least == _WITHIN and parts > 1 and len(sought) >= 2 * SHORTEST


def _digits(text: str) -> list[str]:
    return [char for char in text if char.isdigit()]
