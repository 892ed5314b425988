# ruff: noqa: RUF001 - reads the signs that people write
"""Searches the words of an image for support of a value."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import orjson

from app.services.evidence import dates
from app.services.evidence.amounts import Amount, currencies, same_currency, written
from app.services.evidence.figures import CODE
from app.services.evidence.letters import Letters, is_spaceless
from app.services.evidence.lines import Line, Lines
from app.services.evidence.text import (
    Match,
    composed,
    folded,
    latinised,
    squeezed,
    tokens,
    transliterated,
    unaccented,
)
from app.services.evidence.times import Time, times
from app.services.evidence.words import Word, joined
from app.services.geometry import Box

_MOMENT = re.compile(r"(.*\d)[T ,]+(\d.*)")
_NOT = re.compile(
    r"(?:not|non|no|nicht|kein\w{0,2}|não|pas|never|nie|не|нет|\w+n['\u2019]t)", re.IGNORECASE
)
_BETWEEN = re.compile(
    r"(?:yet|longer|be|been|fully|currently|always|mehr|noch|ganz|ancora|più|encore|más|mais|ещё|еще)",
    re.IGNORECASE,
)
"""Matches words between a negation and the word that it negates, as in ``not yet approved``."""
_NEGATING = frozenset("不未非無无没沒勿")
"""Signs that negate what follows in Chinese and Japanese."""
NAMED = 20
"""Maximum occurrences of a field's name that are examined, since a page may repeat a word."""
_QUANTITY = re.compile(r"(?P<number>[-+−–]?\d(?:[\d.,'’ ]*\d)?)\s?(?P<unit>[^\W\d_]\S{0,9}|°\S?)")
LONGEST_QUANTITY = 30
"""Maximum characters of a value that may be a number with its unit."""
LONGEST_DATE = 60
"""Maximum characters of a value that may be a date or a time."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Words that support a value."""

    words: tuple[Word, ...]
    text: str
    match: Match


@dataclass(frozen=True)
class Page:
    """The words of one image, prepared for searching."""

    words: Sequence[Word]

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self.words)

    @cached_property
    def _letters(self) -> Letters:
        return Letters.of_words(self.words)

    @cached_property
    def _in_two_letters(self) -> Letters:
        return Letters.of_words(
            [replace(word, text=transliterated(word.text)) for word in self.words]
        )

    @cached_property
    def _without_accents(self) -> Letters:
        return Letters.of_words([replace(word, text=unaccented(word.text)) for word in self.words])

    @cached_property
    def _in_latin(self) -> Letters:
        return Letters.of_words([replace(word, text=latinised(word.text)) for word in self.words])

    @cached_property
    def _named(self) -> dict[str, list[Word]]:
        words: dict[str, list[Word]] = defaultdict(list)
        for word in self.words:
            for token in tokens(word.text):
                words[token].append(word)
        return words

    def named(self, name: str) -> Sequence[Word]:
        """Return the first words that contain the folded ``name``."""
        return self._named.get(name, ())[:NAMED]

    @cached_property
    def _by_rows(self) -> "Page":
        """Return the same words row by row, for values across several columns."""
        return Page([word for row in self._lines.rows for word in row])

    def level(self, words: Iterable[Word]) -> Box:
        """Return the box around words after the image was levelled."""
        return self._lines.level(words)

    def row_of(self, word: Word) -> tuple[Word, ...]:
        """Return the words of the row of ``word``, in all columns."""
        return self._lines.row_of[word]

    def line_of(self, word: Word) -> tuple[Word, ...]:
        """Return the words of the line of ``word``."""
        return self._lines.of_word[word].words

    def sightings(self, value: str | float) -> list[Sighting]:
        """Return the places that support ``value``, in reading order.

        For a text only the best kind of match is returned. Numbers match however they are written,
        such as 12 and 12.00.
        """
        if not isinstance(value, str):
            number, digits = Amount(frozenset([float(value)])), orjson.dumps(value).decode()
            return list(dict.fromkeys(self._numbers(number, digits))) or self._code(digits)
        wanted = " ".join(value.split())
        if not wanted:
            return []
        if amount := written(composed(wanted)):
            return _best(self._numbers(amount, wanted)) or self._code(wanted)
        rows = self._by_rows
        exactly = (
            self.spelled, self._dates, self._clock, self._money, self._quantities, rows.spelled
        )  # fmt: skip
        likely = self._transliterated, self._unaccented, self.misread, rows.misread
        for kind in (*exactly, *likely, self._signs):
            sightings = _best(kind(wanted))
            whole = [one for one in sightings if not self._is_cut_out(one)]
            if affirmed := [one for one in whole if not self._is_negated(one, wanted)]:
                return affirmed
        return []

    def _numbers(self, sought: Amount, wanted: str) -> Iterator[Sighting]:
        keys: set[str | float] = {squeezed(wanted), *sought.values}
        for place in sorted({place for key in keys for place in self._lines.alike.get(key, ())}):
            line, amount = self._lines.amounts[place]
            end = amount.end + (len(amount.following) if sought.following else 0)
            text = line.raw[amount.start : end].strip()
            unsigned = amount.unsigned if line.raw == line.text else ""
            exact = squeezed(wanted) in (squeezed(text), squeezed(unsigned))
            # All digits of a code such as 00123 matter.
            same = not (amount.is_code or sought.is_code) and amount.same(sought)
            if exact or same:
                match = Match.EXACT if exact else Match.NORMALISED
                yield Sighting(line.within(amount.start, end), text, match)

    def spelled(self, wanted: str) -> Iterator[Sighting]:
        """Yield places that have the value apart from spaces, signs and line breaks."""
        for start, end in self._letters.spelled(wanted):
            yield self._sighting(wanted, *self._letters.between(start, end))

    def _is_cut_out(self, sighting: Sighting) -> bool:
        """Return whether the place is a part of a longer code in groups of one length.

        Its last group may be shorter, as in ``DE89 3704 0044 0532 0130 00``.
        """
        groups = [word.text for word in sighting.words if word.text.isdigit()]
        lengths = set(map(len, groups))
        if sum(map(len, groups)) < CODE or len(groups) < 2 or len(lengths) > 1:
            return False
        before = self._lines.before.get(sighting.words[0])
        after = self._lines.after.get(sighting.words[-1])
        (length,) = lengths
        return bool(
            (before and before.text.isdigit() and len(before.text) == length)
            or (after and after.text.isdigit() and len(after.text) <= length)
        )

    def _transliterated(self, wanted: str) -> Iterator[Sighting]:
        """Yield places that have Mueller for Müller, or vice versa."""
        for start, end in self._in_two_letters.spelled(transliterated(wanted)):
            yield self._sighting(wanted, *self._in_two_letters.between(start, end))

    def _unaccented(self, wanted: str) -> Iterator[Sighting]:
        """Yield places that have the value apart from accents, which engines overlook."""
        for letters, sought in (
            (self._without_accents, unaccented(wanted)),
            (self._in_latin, latinised(wanted)),
        ):
            for start, end in letters.spelled(sought):
                yield self._sighting(wanted, *letters.between(start, end), Match.APPROXIMATE)

    def _is_negated(self, sighting: Sighting, wanted: str) -> bool:
        """Return whether the place has a preceding "not" that the value lacks, unlike ``No 42``."""
        first = sighting.words[0]
        if any(map(str.isdigit, wanted)):
            return False
        head, hyphen, _ = first.text.partition("-")
        if hyphen and _NOT.fullmatch(head):
            return not folded(wanted).startswith(folded(head))
        beside = self._lines.before.get(first)
        if is_spaceless(wanted[0]):
            at = first.text.find(wanted[0])
            sign = first.text[at - 1] if at > 0 else beside.text[-1] if beside else ""
            return sign in _NEGATING and (at > 0 or not first.spaced)
        if beside is None:
            return False
        before = self._lines.before.get(beside) if _BETWEEN.fullmatch(beside.text) else beside
        if before is None or not _NOT.fullmatch(before.text):
            return False
        # A negation in another column belongs to something else.
        gap, width = first.box.left - beside.box.right, beside.box.right - beside.box.left
        return gap <= width / 2

    def _code(self, wanted: str) -> list[Sighting]:
        """Return places with a long number in groups, such as of a card or a telephone."""
        digits = wanted.removeprefix("+")
        if not digits.isdigit() or len(digits) < CODE:
            return []
        return [one for one in _best(self.spelled(digits)) if self._is_whole_code(one)]

    def _is_whole_code(self, code: Sighting) -> bool:
        """Return whether no other group of digits is beside the code."""
        first = self.words.index(code.words[0])
        last = first + len(code.words) - 1
        before, after = self.words[max(0, first - 1) : first], self.words[last + 1 : last + 2]
        pairs = (
            *zip(before, code.words[:1], strict=False),
            *zip(after, code.words[-1:], strict=False),
        )
        return not any(one.text.isdigit() and one.line == own.line for one, own in pairs)

    def _money(self, wanted: str) -> Iterator[Sighting]:
        """Yield other names and signs of the currency that ``wanted`` names."""
        for name in [n for start, end, n in currencies(wanted) if end - start == len(wanted)]:
            for line, start, end, known in self._lines.currencies:
                if same_currency(name, known):
                    yield _part(line, start, end, wanted)

    def _quantities(self, wanted: str) -> Iterator[Sighting]:
        """Yield places with the same number in another notation before the same unit."""
        parts = _QUANTITY.fullmatch(composed(wanted)) if len(wanted) <= LONGEST_QUANTITY else None
        sought = written(parts["number"]) if parts else None
        if parts is None or sought is None or sought.is_code:
            return
        unit = re.compile(rf"\s?{re.escape(parts['unit'])}(?![\w/²³^])")
        for place in sorted({at for key in sought.values for at in self._lines.alike.get(key, ())}):
            line, amount = self._lines.amounts[place]
            behind = unit.match(line.text, amount.end)
            if behind and not amount.is_code and amount.same(sought):
                yield _part(line, amount.start, behind.end(), wanted)

    def _sighting(self, wanted: str, first: int, last: int, match: Match | None = None) -> Sighting:
        """Return the words from ``first`` to ``last``, exact if they have the value literally."""
        bare = squeezed(wanted)
        for start, end in ((first, last), *self._with_signs(first, last)):
            words = self.words[start : end + 1]
            text = joined(words)
            if match is None and bare in squeezed(text):
                return Sighting(tuple(words), text, Match.EXACT)
        words = self.words[first : last + 1]
        text = joined(words)
        return Sighting(tuple(words), text, match or Match.NORMALISED)

    def _with_signs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the same words with neighbours that are only signs, as in ``42 €``."""
        before = first - 1 if first and not tokens(self.words[first - 1].text) else first
        following = self.words[last + 1 : last + 2]
        after = last + 1 if following and not tokens(following[0].text) else last
        yield from ((first, after), (before, last), (before, after))

    def _dates(self, wanted: str) -> Iterator[Sighting]:
        if len(wanted) > LONGEST_DATE:
            return
        moment = _MOMENT.fullmatch(wanted)
        time = _time(moment[2]) if moment else None
        text = moment[1] if moment and time else wanted
        days = dates.whole(text)
        lines = (*self._lines.all, *self._lines.seams) if days else ()
        for number, start, end in sorted(
            {at for day in days for at in self._lines.days.get(day, ())}
        ):
            line = lines[number]
            if time is None:
                yield _part(line, start, end, wanted)
                continue
            behind = (last for _, last, known in times(line.text[end:]) if known.same(time))
            if (last := next(behind, None)) is not None:
                yield _part(line, start, end + last, wanted)

    def _clock(self, wanted: str) -> Iterator[Sighting]:
        time = _time(wanted)
        for line, start, end, known in self._lines.times if time else ():
            if time and known.same(time):
                yield _part(line, start, end, wanted)

    def misread(self, wanted: str) -> Iterator[Sighting]:
        """Yield the place that is most similar to the value, word by word."""
        if place := self._letters.misread(wanted):
            yield self._sighting(wanted, *self._letters.between(*place), Match.APPROXIMATE)

    def _signs(self, wanted: str) -> Iterator[Sighting]:
        """Yield words that contain a value without letters and digits, such as ``✓``."""
        for at, word in enumerate(self.words) if not tokens(wanted) else ():
            if squeezed(wanted) in word.text:
                yield self._sighting(wanted, at, at)


def _part(line: Line, start: int, end: int, wanted: str) -> Sighting:
    read = line.raw[start:end].strip()
    exact = squeezed(read) == squeezed(wanted)
    return Sighting(line.within(start, end), read, Match.EXACT if exact else Match.NORMALISED)


def _time(text: str) -> Time | None:
    """Return the time of day that is the whole of ``text``, or None."""
    if len(text) > LONGEST_DATE:
        return None
    return next((time for start, end, time in times(text) if end - start == len(text)), None)


def _best(sightings: Iterator[Sighting]) -> list[Sighting]:
    """Return the exact sightings, or all if none is exact, without duplicates."""
    places = list(dict.fromkeys(sightings))
    exact = [one for one in places if one.match is Match.EXACT]
    return exact or places
