"""Pages of words as an OCR engine reads them."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.services.evidence.search import Page
from app.services.evidence.words import Word
from app.services.geometry import Box


def page(*lines: str) -> Page:
    """Return a page of lines whose words are each a tenth of the picture wide."""
    return Page(words_of(lines))


def words_of(lines: Sequence[str]) -> tuple[Word, ...]:
    """Return the words of lines, each a tenth of the picture wide."""
    return tuple(
        Word(word, Box(place / 10, row / 20, (place + 1) / 10, (row + 1) / 20), row)
        for row, line in enumerate(lines)
        for place, word in enumerate(line.split())
    )


def columns(*rows: Sequence[str]) -> Page:
    """Return rows of cells as an OCR engine reads them: a line per cell, the right one first."""
    return Page(
        [
            Word(
                word,
                Box((cell + at / 10) / 5, row / 20, (cell + at / 10) / 5 + 0.01, (row + 1) / 20),
                10 * row - cell,
            )
            for row, cells in enumerate(rows)
            for cell, text in reversed(list(enumerate(cells)))
            for at, word in enumerate(text.split())
        ]
    )


@dataclass
class LineReader:
    """Reads the same lines in every picture."""

    lines: Sequence[str]
    able: bool = True

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:
        del picture
        return words_of(self.lines)
