"""Finds where the words of a picture support a value."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from functools import cached_property
from itertools import groupby

import orjson

from app.services.evidence.text import (
    NUMBER,
    TOKEN,
    Match,
    dates,
    folded,
    squeezed,
    tokens,
    values,
)
from app.services.evidence.words import Word

ALIKE = 0.8
"""Similarity of a value and what is read from which it is approximately the same, 0 to 1."""
SHORTEST = 5
"""Letters from which a misread value can be told from another one."""
TRIED = 12
"""Lines that are looked at for a misread value: those with most in common with it."""
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")


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
    starts: tuple[int, ...]

    @classmethod
    def made(cls, words: Sequence[Word]) -> "_Line":
        starts, text = [], ""
        for word in words:
            text += " " if text else ""
            starts.append(len(text))
            text += word.text
        return cls(tuple(words), text, tuple(starts))

    def within(self, start: int, end: int) -> tuple[Word, ...]:
        """Return the words of which some characters lie between ``start`` and ``end``."""
        return tuple(
            word
            for word, begins in zip(self.words, self.starts, strict=True)
            if begins < end and begins + len(word.text) > start
        )


@dataclass(frozen=True)
class Page:
    """The words of one picture, to search in."""

    words: Sequence[Word]

    @cached_property
    def _lines(self) -> list[_Line]:
        return [_Line.made(list(line)) for _, line in groupby(self.words, key=lambda w: w.line)]

    @cached_property
    def _tokens(self) -> list[tuple[str, Word]]:
        return [(token, word) for word in self.words for token in tokens(word.text)]

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = defaultdict(list)
        for place, (token, _) in enumerate(self._tokens):
            places[token].append(place)
        return places

    @cached_property
    def _by_part(self) -> dict[str, list[int]]:
        parts: dict[str, list[int]] = defaultdict(list)
        for index, line in enumerate(self._lines):
            for part in _parts(squeezed(folded(line.text))):
                parts[part].append(index)
        return parts

    def line_of(self, word: Word) -> str:
        """Return the line that ``word`` is on."""
        return next((line.text for line in self._lines if word in line.words), word.text)

    def sightings(self, value: str | float) -> list[Sighting]:
        """Return the places that support ``value``, the best kind of them, in reading order."""
        if not isinstance(value, str):
            return list(self._numbers(value, orjson.dumps(value).decode()))
        wanted = " ".join(value.split())
        if not wanted:
            return []
        if NUMBER.fullmatch(wanted):
            return self._written_numbers(wanted)
        for kind in (self._sequences, self._dates, self._run_together, self._misread):
            if sightings := list(kind(wanted)):
                exact = [s for s in sightings if s.match is Match.EXACT]
                return exact or sightings
        return []

    def _written_numbers(self, wanted: str) -> list[Sighting]:
        sightings = [s for one in values(wanted) for s in self._numbers(one, wanted)]
        exact = [s for s in sightings if s.match is Match.EXACT]
        # A code such as 00123 is no number: all its digits matter.
        return exact or ([] if re.match(r"0\d", wanted) else sightings)

    def _numbers(self, value: float, wanted: str) -> Iterator[Sighting]:
        for line in self._lines:
            for match in NUMBER.finditer(line.text):
                written = match[0].strip()
                if any(char.isalnum() for char in _beside(line.text, match)):
                    continue
                kind = Match.EXACT if written == wanted else Match.NORMALISED
                # A code such as 00123 is no number: all its digits matter.
                number = not re.match(r"0\d", written) and value in values(written)
                if kind is Match.EXACT or number:
                    yield Sighting(line.within(*match.span()), written, kind)

    def _sequences(self, wanted: str) -> Iterator[Sighting]:
        sought = tokens(wanted)
        for place in self._places.get(sought[0], ()) if sought else ():
            run = self._tokens[place : place + len(sought)]
            if [token for token, _ in run] == sought:
                words = tuple(dict.fromkeys(word for _, word in run))
                text = " ".join(word.text for word in words)
                exact = squeezed(wanted) in squeezed(text)
                yield Sighting(words, text, Match.EXACT if exact else Match.NORMALISED)

    def _dates(self, wanted: str) -> Iterator[Sighting]:
        if not _ISO.fullmatch(wanted):
            return
        try:
            sought = date.fromisoformat(wanted)
        except ValueError:
            return
        for line in self._lines:
            for start, end, day in dates(line.text):
                if day == sought:
                    yield Sighting(line.within(start, end), line.text[start:end], Match.NORMALISED)

    def _run_together(self, wanted: str) -> Iterator[Sighting]:
        """Yield lines in which the value stands without its spaces, as engines read it."""
        sought = "".join(tokens(wanted))
        if len(sought) < SHORTEST:
            return
        for line in self._candidates(wanted):
            letters = _Letters.of_line(line.text)
            place = letters.text.find(sought)
            if place >= 0:
                yield letters.sighting(line, place, place + len(sought), Match.NORMALISED)

    def _misread(self, wanted: str) -> Iterator[Sighting]:
        sought = "".join(tokens(wanted))
        if len(sought) < SHORTEST:
            return
        best, result = ALIKE, None
        for line in self._candidates(wanted):
            letters = _Letters.of_line(line.text)
            blocks = SequenceMatcher(None, letters.text, sought, autojunk=False)
            first = next(iter(blocks.get_matching_blocks()))
            start = max(0, first.a - first.b)
            end = min(len(letters.text), start + len(sought))
            read = letters.text[start:end]
            # Another digit is another value, however much else is the same.
            if _digits(read) != _digits(sought):
                continue
            ratio = SequenceMatcher(None, read, sought, autojunk=False).ratio()
            if ratio >= best:
                best, result = ratio, letters.sighting(line, start, end, Match.APPROXIMATE)
        if result is not None:
            yield result

    def _candidates(self, wanted: str) -> list[_Line]:
        common: Counter[int] = Counter()
        for part in _parts(squeezed(folded(wanted))):
            common.update(self._by_part.get(part, ()))
        return [self._lines[index] for index, _ in common.most_common(TRIED)]


@dataclass(frozen=True, slots=True)
class _Letters:
    """The letters and digits of a line, folded, with where each stands in it."""

    text: str
    places: tuple[int, ...]

    @classmethod
    def of_line(cls, line: str) -> "_Letters":
        pairs = [
            (letter, place)
            for place, char in enumerate(line)
            for letter in folded(char)
            if TOKEN.fullmatch(letter)
        ]
        return cls("".join(letter for letter, _ in pairs), tuple(place for _, place in pairs))

    def sighting(self, line: _Line, start: int, end: int, match: Match) -> Sighting:
        first, last = self.places[start], self.places[end - 1] + 1
        words = line.within(first, last)
        return Sighting(words, " ".join(word.text for word in words), match)


def _beside(text: str, match: re.Match[str]) -> str:
    """Return the characters that a number would go on with."""
    before = text[: match.start()][-2:] if text[match.start()].isdigit() else ""
    after = text[match.end() :][:2]
    left = before[-1:] + (before[:1] if before[-1:] in ".,-/" else "")
    right = after[:1] + (after[1:] if after[:1] in ".,-/" else "")
    return left + right


def _parts(text: str) -> set[str]:
    return {text[place : place + 3] for place in range(max(1, len(text) - 2))}


def _digits(text: str) -> list[str]:
    return [char for char in text if char.isdigit()]
