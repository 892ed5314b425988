"""The words of an OCR reading and their places."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from app.services.geometry import Box


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its place in the image."""

    text: str
    box: Box
    """The word's box in fractions of the image."""
    line: int = 0
    """Number of the word's line in the reading, from 0."""
    score: float = 1.0
    """The engine's score of the line, 0 to 1, which is not a probability."""
    spaced: bool = True
    """Whether a space precedes the word, unlike in Chinese."""


def joined(words: Iterable[Word]) -> str:
    """Return words as one text."""
    return "".join(f"{' ' * word.spaced}{word.text}" for word in words).removeprefix(" ")


def around(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that contains all of ``boxes``."""
    return reduce(
        lambda a, b: Box(
            min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom)
        ),
        boxes,
    )
