"""Words as a second reading has them, and where they stand."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from app.services.geometry import Box


@dataclass(frozen=True, slots=True)
class Word:
    """A word at its place."""

    text: str
    box: Box
    """Shares of the picture that was read."""
    line: int = 0
    """The line of the reading that the word is on, from 0."""
    score: float = 1.0
    """How sure the engine is of the line, 0 to 1; no probability."""
    spaced: bool = True
    """Whether a space parts it from the word before: Chinese words stand without."""


def joined(words: Iterable[Word]) -> str:
    """Return words as one text."""
    return "".join(f"{' ' * word.spaced}{word.text}" for word in words).removeprefix(" ")


def around(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that holds all of ``boxes``."""
    return reduce(
        lambda a, b: Box(
            min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom)
        ),
        boxes,
    )
