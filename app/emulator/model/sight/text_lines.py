"""The words read in a picture and where they stand, put together as lines."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

from app.emulator.model.wording import tokens

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, each 0 to 1 of the picture's width or height."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its place."""

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """Words beside each other, left to right."""

    words: tuple[Word, ...]
    score: float
    """How sure the engine is, 0 to 1."""

    @property
    def text(self) -> str:
        """The words with spaces between."""
        return " ".join(word.text for word in self.words)

    @property
    def box(self) -> Box:
        """The box around all words."""
        return around(word.box for word in self.words)


@dataclass(frozen=True, slots=True)
class TextLines:
    """All lines of a picture, top to bottom."""

    lines: tuple[Line, ...] = ()

    @property
    def text(self) -> str:
        """The lines, each on a line of its own."""
        return "\n".join(line.text for line in self.lines)

    def places(self, phrase: str) -> list[Box]:
        """Return the box of every place where the phrase's words stand one after another."""
        wanted = tokens(phrase)
        return [box for line in self.lines for box in _places(line, wanted)] if wanted else []

    def words(self) -> set[str]:
        """Return every word in it, folded to lower case."""
        return {token for line in self.lines for token in tokens(line.text)}


def around(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that holds all of ``boxes``."""
    return reduce(
        lambda a, b: (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])), boxes
    )


def _places(line: Line, wanted: list[str]) -> Iterator[Box]:
    # An engine's word may hold several of ours ("Total:42.10"), so each token keeps its word's box.
    placed = [(token, word.box) for word in line.words for token in tokens(word.text)]
    for start in range(len(placed) - len(wanted) + 1):
        window = placed[start : start + len(wanted)]
        if [token for token, _ in window] == wanted:
            yield around(box for _, box in window)


def assembled(pieces: Iterable[tuple[tuple[Word, ...], float]]) -> TextLines:
    """Return the reading of pieces of text found anywhere: those on one height are one line."""
    rows: list[list[Line]] = []
    for line in sorted((Line(*piece) for piece in pieces if piece[0]), key=_middle):
        if rows and _level(rows[-1][-1].box, line.box):
            rows[-1].append(line)
        else:
            rows.append([line])
    return TextLines(tuple(map(_joined, rows)))


def _middle(line: Line) -> float:
    return line.box[1] + line.box[3]


def _level(one: Box, other: Box) -> bool:
    shared = min(one[3], other[3]) - max(one[1], other[1])
    return shared > 0.5 * min(one[3] - one[1], other[3] - other[1])


def _joined(row: list[Line]) -> Line:
    ordered = sorted(row, key=lambda line: line.box[0])
    words = tuple(word for line in ordered for word in line.words)
    return Line(words, min(line.score for line in ordered))


def cells(line: Line, aspect: float) -> list[str]:
    """Return a line's texts that stand apart by more than its own height.

    ``aspect`` is the picture's width over its height.
    """
    height = (line.box[3] - line.box[1]) / aspect
    columns: list[list[Word]] = [[]]
    for word in line.words:
        if columns[-1] and word.box[0] - columns[-1][-1].box[2] > height:
            columns.append([])
        columns[-1].append(word)
    return [" ".join(word.text for word in column) for column in columns]
