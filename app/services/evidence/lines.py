"""The lines of a page as texts, with the dates, times and amounts in them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

from app.services.evidence.amounts import Amount, amounts, currencies
from app.services.evidence.dates import Day, dates, month_first
from app.services.evidence.text import composed, squeezed
from app.services.evidence.times import Time, times
from app.services.evidence.words import Word, around, joined
from app.services.geometry import Box

LONG = 0.05
"""Minimum distance, in widths of the image, of a line's first and last word that show its slope."""
STEEPEST = 0.2
"""Maximum slope of a skewed line; lines of a page on its side are steeper."""
SEAM = 3
"""Words at a line's end and at the beginning of the next that a date across both may take."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the OCR reading as one text."""

    words: tuple[Word, ...]
    text: str
    """The line in composed letters and digits."""
    raw: str
    """The line as read, if its characters correspond one to one to ``text``, else ``text``."""
    places: tuple[tuple[int, int], ...]
    """The start and end of each word."""

    @classmethod
    def of_words(cls, words: Sequence[Word]) -> "Line":
        """Return a line made of these words."""
        places, text = [], ""
        for word in words:
            text += " " if text and word.spaced else ""
            start = len(text)
            text += " ".join(composed(word.text).split())
            places.append((start, len(text)))
        raw = joined(words)
        return cls(tuple(words), text, raw if len(raw) == len(text) else text, tuple(places))

    def within(self, start: int, end: int) -> tuple[Word, ...]:
        """Return the words with any character between ``start`` and ``end``."""
        return tuple(
            word
            for word, (begin, last) in zip(self.words, self.places, strict=True)
            if begin < end and last > start
        )


@dataclass(frozen=True)
class Lines:
    """The lines of one image's words."""

    words: Sequence[Word]

    @cached_property
    def all(self) -> list[Line]:
        """Return the lines in reading order."""
        return [Line.of_words(list(line)) for _, line in groupby(self.words, key=lambda w: w.line)]

    @cached_property
    def tilt(self) -> float:
        """Return how far lines descend per image width, as on a skewed scan, in image heights."""
        slopes = sorted(slope for line in self.all for slope in _slope(line.words))
        half, total = sum(width for _, width in slopes) / 2, 0.0
        for slope, width in slopes:
            total += width
            if total >= half:
                return slope
        return 0.0

    def level(self, words: Iterable[Word]) -> Box:
        """Return the box around words after the image was levelled."""
        return around(self._levelled(word.box) for word in words)

    def _levelled(self, box: Box) -> Box:
        shift = self.tilt * (box.left + box.right) / 2
        # The box around a slanting word is taller than the word.
        slack = min(abs(self.tilt) * (box.right - box.left), (box.bottom - box.top) / 2) / 2
        return Box(box.left, box.top - shift + slack, box.right, box.bottom - shift - slack)

    @cached_property
    def rows(self) -> list[tuple[Word, ...]]:
        """Return the words of each row, of which an engine reads each column as a separate line."""
        boxed = [(self.level(line.words), line) for line in self.all]
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
        """Return the row of each word."""
        return {word: row for row in self.rows for word in row}

    @cached_property
    def seams(self) -> list[Line]:
        """Return the end of each line with the beginning of the next, for dates across both."""
        return [
            Line.of_words([*upper.words[-SEAM:], *lower.words[:SEAM]])
            for upper, lower in pairwise(self.all)
        ]

    @cached_property
    def days(self) -> dict[Day, list[tuple[int, int, int]]]:
        """Return the places of each day as the line's number and the date's start and end."""
        places: dict[Day, list[tuple[int, int, int]]] = defaultdict(list)
        order = month_first(line.text for line in self.all)
        for number, line in enumerate((*self.all, *self.seams)):
            for start, end, day in dates(line.text, month_first=order):
                for less in day.less():
                    places[less].append((number, start, end))
        return places

    @cached_property
    def times(self) -> list[tuple[Line, int, int, Time]]:
        """Return the times of day, each with its line, start and end."""
        return [(line, *match) for line in self.all for match in times(line.text)]

    @cached_property
    def currencies(self) -> list[tuple[Line, int, int, str]]:
        """Return the names and signs of currencies, each with its line, start and end."""
        return [(line, *match) for line in self.all for match in currencies(line.text)]

    @cached_property
    def of_word(self) -> dict[Word, Line]:
        """Return the line of each word."""
        return {word: line for line in self.all for word in line.words}

    @cached_property
    def before(self) -> dict[Word, Word]:
        """Return the word before each word on its line."""
        return {word: last for line in self.all for last, word in pairwise(line.words)}

    @cached_property
    def after(self) -> dict[Word, Word]:
        """Return the word after each word on its line."""
        return {word: following for line in self.all for word, following in pairwise(line.words)}

    @cached_property
    def amounts(self) -> list[tuple[Line, Amount]]:
        """Return the numbers, each with its line."""
        return [(line, amount) for line in self.all for amount in amounts(line.text)]

    @cached_property
    def alike(self) -> dict[str | float, list[int]]:
        """Return indexes into ``amounts`` by possible value and by text."""
        places: dict[str | float, list[int]] = defaultdict(list)
        for place, (line, amount) in enumerate(self.amounts):
            text = line.raw[amount.start : amount.end]
            longer = line.raw[amount.start : amount.end + len(amount.following)]
            known = {squeezed(text), squeezed(longer), squeezed(amount.unsigned)}
            keys: set[str | float] = {*known, *amount.values}
            for key in keys:
                places[key].append(place)
        return places


def _slope(words: Sequence[Word]) -> Iterator[tuple[float, float]]:
    """Yield the slope of a line and its width, if it is long enough to have a slope."""
    first, last = words[0].box, words[-1].box
    across = (last.left + last.right - first.left - first.right) / 2
    down = (last.top + last.bottom - first.top - first.bottom) / 2
    if across >= LONG and abs(down) <= STEEPEST * across:
        yield down / across, across


def _side_by_side(one: Box, below: Box) -> bool:
    """Return whether ``below`` is in the row of ``one``, which begins no lower."""
    level = one.bottom > (below.top + below.bottom) / 2
    return level and one.bottom - one.top <= 2 * (below.bottom - below.top)
