"""The lines of a page as texts, and what is written in them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

from app.services.evidence.amounts import Amount, amounts, currencies
from app.services.evidence.dates import Day, dates, month_first
from app.services.evidence.text import composed, squeezed
from app.services.evidence.times import Time, times
from app.services.evidence.words import Word, around, joined
from app.services.geometry import Box

SEAM = 3
"""Words at a line's end, and at the beginning of the next, that a date over both may take."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the reading as one text."""

    words: tuple[Word, ...]
    text: str
    """In usual letters and digits."""
    raw: str
    """As it was read, each character at its place in ``text``; or ``text`` where that can't be."""
    places: tuple[tuple[int, int], ...]
    """Where each word begins and ends."""

    @classmethod
    def of_words(cls, words: Sequence[Word]) -> "Line":
        """Return the line that these words make."""
        places, text = [], ""
        for word in words:
            text += " " if text and word.spaced else ""
            start = len(text)
            text += " ".join(composed(word.text).split())
            places.append((start, len(text)))
        raw = joined(words)
        return cls(tuple(words), text, raw if len(raw) == len(text) else text, tuple(places))

    def within(self, start: int, end: int) -> tuple[Word, ...]:
        """Return the words of which some characters lie between ``start`` and ``end``."""
        return tuple(
            word
            for word, (begin, last) in zip(self.words, self.places, strict=True)
            if begin < end and last > start
        )


@dataclass(frozen=True)
class Lines:
    """The lines of one picture's words."""

    words: Sequence[Word]

    @cached_property
    def all(self) -> list[Line]:
        """Each line, in reading order."""
        return [Line.of_words(list(line)) for _, line in groupby(self.words, key=lambda w: w.line)]

    @cached_property
    def rows(self) -> list[tuple[Word, ...]]:
        """The words side by side, which an engine reads as a line for each column."""
        boxed = [(around(word.box for word in line.words), line) for line in self.all]
        rows: list[list[tuple[Box, Line]]] = []
        for box, line in sorted(boxed, key=lambda pair: pair[0].top + pair[0].bottom):
            if rows and _side_by_side(rows[-1][0][0], box):
                rows[-1].append((box, line))
            else:
                rows.append([(box, line)])
        ordered = (sorted(row, key=lambda pair: pair[0].left) for row in rows)
        return [tuple(word for _, line in row for word in line.words) for row in ordered]

    @cached_property
    def row_of(self) -> dict[Word, tuple[Word, ...]]:
        """The row that each word is in."""
        return {word: row for row in self.rows for word in row}

    @cached_property
    def seams(self) -> list[Line]:
        """The ends of lines with the beginnings of those below: a date may stand over both."""
        return [
            Line.of_words([*upper.words[-SEAM:], *lower.words[:SEAM]])
            for upper, lower in pairwise(self.all)
        ]

    @cached_property
    def days(self) -> dict[Day, list[tuple[int, int, int]]]:
        """The places of each day, read once for all values: the line, its first and last place."""
        places: dict[Day, list[tuple[int, int, int]]] = defaultdict(list)
        order = month_first(line.text for line in self.all)
        for number, line in enumerate((*self.all, *self.seams)):
            for start, end, day in dates(line.text, month_first=order):
                for less in day.less():
                    places[less].append((number, start, end))
        return places

    @cached_property
    def times(self) -> list[tuple[Line, int, int, Time]]:
        """The times of day, each with its line, its first and last place."""
        return [(line, *found) for line in self.all for found in times(line.text)]

    @cached_property
    def currencies(self) -> list[tuple[Line, int, int, str]]:
        """The names and signs of currencies, each with its line, its first and last place."""
        return [(line, *found) for line in self.all for found in currencies(line.text)]

    @cached_property
    def of_word(self) -> dict[Word, Line]:
        """The line that each word is on."""
        return {word: line for line in self.all for word in line.words}

    @cached_property
    def before(self) -> dict[Word, Word]:
        """The word in front of each, on its line."""
        return {word: last for line in self.all for last, word in pairwise(line.words)}

    @cached_property
    def amounts(self) -> list[tuple[Line, Amount]]:
        """The numbers, each with its line."""
        return [(line, amount) for line in self.all for amount in amounts(line.text)]

    @cached_property
    def alike(self) -> dict[str | float, list[int]]:
        """The places in ``amounts`` by what they may mean and by how they are read."""
        places: dict[str | float, list[int]] = defaultdict(list)
        for place, (line, amount) in enumerate(self.amounts):
            text = line.raw[amount.start : amount.end]
            longer = line.raw[amount.start : amount.end + len(amount.following)]
            known = {squeezed(text), squeezed(longer), squeezed(amount.unsigned)}
            keys: set[str | float] = {*known, *amount.values}
            for key in keys:
                places[key].append(place)
        return places


def _side_by_side(one: Box, below: Box) -> bool:
    """Whether a box is on a level with one that begins no lower, and not beside upright text."""
    level = one.bottom > (below.top + below.bottom) / 2
    return level and one.bottom - one.top <= 2 * (below.bottom - below.top)
