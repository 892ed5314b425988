"""Finds where the words of a picture support a value."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby, pairwise

import orjson

from app.services.evidence.amounts import Amount, amounts, written
from app.services.evidence.dates import dates
from app.services.evidence.letters import Letters
from app.services.evidence.text import Match, composed, squeezed, tokens
from app.services.evidence.words import Word

_MOMENT = re.compile(r"(.*\d)[T ,]+(\d{1,2}:\d{2})(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?")
SEAM = 3
"""Words at a line's end, and at the beginning of the next, that a date over both may take."""
LONGEST_DATE = 60
"""Characters of a value up to which it may be a date."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The words that support a value."""

    words: tuple[Word, ...]
    text: str
    match: Match


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the reading as one text, with where each word begins."""

    words: tuple[Word, ...]
    text: str
    """In usual letters and digits."""
    raw: str
    """As it was read, each character at its place in ``text``; or ``text`` where that can't be."""
    starts: tuple[int, ...]

    @classmethod
    def made(cls, words: Sequence[Word]) -> "_Line":
        starts, text = [], ""
        for word in words:
            text += " " if text else ""
            starts.append(len(text))
            text += " ".join(composed(word.text).split())
        raw = " ".join(word.text for word in words)
        return cls(tuple(words), text, raw if len(raw) == len(text) else text, tuple(starts))

    def within(self, start: int, end: int) -> tuple[Word, ...]:
        """Return the words of which some characters lie between ``start`` and ``end``."""
        ends = (*(begin - 1 for begin in self.starts[1:]), len(self.text))
        return tuple(
            word
            for word, begin, last in zip(self.words, self.starts, ends, strict=True)
            if begin < end and last > start
        )


@dataclass(frozen=True)
class Page:
    """The words of one picture, to search in."""

    words: Sequence[Word]

    @cached_property
    def _lines(self) -> list[_Line]:
        return [_Line.made(list(line)) for _, line in groupby(self.words, key=lambda w: w.line)]

    @cached_property
    def _seams(self) -> list[_Line]:
        """The ends of lines with the beginnings of those below: a date may stand over both."""
        return [
            _Line.made([*upper.words[-SEAM:], *lower.words[:SEAM]])
            for upper, lower in pairwise(self._lines)
        ]

    @cached_property
    def _days(self) -> dict[date, list[tuple[int, int, int]]]:
        """The places of each day, read once for all values: the line, its first and last place."""
        places: dict[date, list[tuple[int, int, int]]] = defaultdict(list)
        for number, line in enumerate((*self._lines, *self._seams)):
            for start, end, day in dates(line.text):
                places[day].append((number, start, end))
        return places

    @cached_property
    def _line_of(self) -> dict[Word, _Line]:
        return {word: line for line in self._lines for word in line.words}

    @cached_property
    def _amounts(self) -> list[tuple[_Line, Amount]]:
        return [(line, amount) for line in self._lines for amount in amounts(line.text)]

    @cached_property
    def _alike(self) -> dict[str | float, list[int]]:
        """The places in ``_amounts`` by what they may mean and by how they are read."""
        places: dict[str | float, list[int]] = defaultdict(list)
        for place, (line, amount) in enumerate(self._amounts):
            text = line.raw[amount.start : amount.end]
            longer = line.raw[amount.start : amount.end + len(amount.following)]
            known = {squeezed(text), squeezed(longer), squeezed(amount.unsigned)}
            keys: set[str | float] = {*known, *amount.values}
            for key in keys:
                places[key].append(place)
        return places

    @cached_property
    def _letters(self) -> Letters:
        return Letters.of_words(self.words)

    def line_of(self, word: Word) -> tuple[Word, ...]:
        """Return the words of the line that ``word`` is on."""
        return self._line_of[word].words

    def sightings(self, value: str | float) -> list[Sighting]:
        """Return the places that support ``value``, the best kind of them, in reading order."""
        if not isinstance(value, str):
            number = Amount(frozenset([float(value)]))
            return _best(self._numbers(number, orjson.dumps(value).decode()))
        wanted = " ".join(value.split())
        if not wanted:
            return []
        if amount := written(composed(wanted)):
            return _best(self._numbers(amount, wanted))
        for kind in (self._spelled, self._dates, self._misread, self._signs):
            if sightings := _best(kind(wanted)):
                return sightings
        return []

    def _numbers(self, sought: Amount, wanted: str) -> Iterator[Sighting]:
        keys: set[str | float] = {squeezed(wanted), *sought.values}
        for place in sorted({place for key in keys for place in self._alike.get(key, ())}):
            line, amount = self._amounts[place]
            end = amount.end + (len(amount.following) if sought.following else 0)
            text = line.raw[amount.start : end].strip()
            unsigned = amount.unsigned if line.raw == line.text else ""
            exact = squeezed(wanted) in (squeezed(text), squeezed(unsigned))
            # Of a code such as 00123 all digits matter.
            same = not (amount.is_code or sought.is_code) and amount.same(sought)
            if exact or same:
                match = Match.EXACT if exact else Match.NORMALISED
                yield Sighting(line.within(amount.start, end), text, match)

    def _spelled(self, wanted: str) -> Iterator[Sighting]:
        """Yield places that have the value but for its spaces, signs and lines."""
        for start, end in self._letters.spelled(wanted):
            yield self._sighting(wanted, *self._letters.between(start, end))

    def _sighting(self, wanted: str, first: int, last: int, match: Match | None = None) -> Sighting:
        """Return the words from ``first`` to ``last``, exact where the value is there literally."""
        bare = squeezed(wanted)
        for start, end in ((first, last), *self._with_signs(first, last)):
            words = self.words[start : end + 1]
            text = " ".join(word.text for word in words)
            if match is None and bare in squeezed(text):
                return Sighting(tuple(words), text, Match.EXACT)
        words = self.words[first : last + 1]
        text = " ".join(word.text for word in words)
        return Sighting(tuple(words), text, match or Match.NORMALISED)

    def _with_signs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the same words with neighbours that are signs alone: ``42 €``."""
        before = first - 1 if first and not tokens(self.words[first - 1].text) else first
        following = self.words[last + 1 : last + 2]
        after = last + 1 if following and not tokens(following[0].text) else last
        yield from ((first, after), (before, last), (before, after))

    def _dates(self, wanted: str) -> Iterator[Sighting]:
        if len(wanted) > LONGEST_DATE:
            return
        moment = _MOMENT.fullmatch(wanted)
        text, time = (moment[1], moment[2].zfill(5)) if moment else (wanted, None)
        days = {day for start, end, day in dates(text) if end - start == len(text)}
        lines = (*self._lines, *self._seams) if days else ()
        for number, start, end in sorted({at for day in days for at in self._days.get(day, ())}):
            line = lines[number]
            if time is None:
                yield self._day(line, start, end)
            elif clock := re.search(rf"(?<!\d)0?{time.lstrip('0')}", line.text[end:]):
                yield self._day(line, start, end + clock.end())

    def _day(self, line: _Line, start: int, end: int) -> Sighting:
        return Sighting(line.within(start, end), line.raw[start:end], Match.NORMALISED)

    def _misread(self, wanted: str) -> Iterator[Sighting]:
        if place := self._letters.misread(wanted):
            yield self._sighting(wanted, *self._letters.between(*place), Match.APPROXIMATE)

    def _signs(self, wanted: str) -> Iterator[Sighting]:
        """Yield words that hold a value without letters and digits: ``✓``."""
        for at, word in enumerate(self.words) if not tokens(wanted) else ():
            if squeezed(wanted) in word.text:
                yield self._sighting(wanted, at, at)


def _best(sightings: Iterator[Sighting]) -> list[Sighting]:
    """Return the exact ones, or all where none is, each place once."""
    places = list(dict.fromkeys(sightings))
    exact = [one for one in places if one.match is Match.EXACT]
    return exact or places
