"""Pages of words as an OCR engine reads them."""

from app.services.evidence.search import Page
from app.services.evidence.words import Word
from app.services.geometry import Box


def page(*lines: str) -> Page:
    """Return lines of words, each word a tenth of the picture's width."""
    return Page(
        [
            Word(word, Box(place / 10, row / 20, (place + 1) / 10, (row + 1) / 20), row)
            for row, line in enumerate(lines)
            for place, word in enumerate(line.split())
        ]
    )
