"""Texts of overlapping strips of one page, joined without doubled lines."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")

ALIKE = 0.8
"""Similarity from which two readings of a line are taken for one line, 0 to 1."""
SHORT = 8
"""Characters below which a line has to be read the same twice."""


@dataclass(frozen=True, slots=True)
class Strip(Generic[ItemT]):
    """What was read in one strip."""

    lines: Sequence[ItemT]
    shared: float = 0.0
    """Share of its height that the strip before shows as well, 0 to 1."""


def joined(strips: Sequence[Strip[ItemT]], key: Callable[[ItemT], str] = str) -> list[ItemT]:
    """Return the lines of all ``strips``, those that two of them show once.

    ``key`` gives a line's text. A line cut in half at a strip's edge is read wrongly there, so
    the outermost line on either side may be left out.
    """
    result: list[ItemT] = []
    for strip in strips:
        expected = round(strip.shared * len(strip.lines))
        before, after = _overlap(
            [key(line) for line in result], [key(line) for line in strip.lines], expected
        )
        result = [*result[: len(result) - before], *strip.lines[after:]]
    return result


def _overlap(above: Sequence[str], below: Sequence[str], expected: int) -> tuple[int, int]:
    """Return how many lines to drop at the end of ``above`` and at the start of ``below``."""
    for length in _lengths(min(len(above), len(below)), expected):
        for cut_above, cut_below in ((0, 0), (1, 0), (0, 1), (1, 1)):
            end = len(above) - cut_above
            upper = above[max(0, end - length) : end]
            lower = below[cut_below : cut_below + length]
            if len(upper) == length == len(lower) and all(map(_alike, upper, lower)):
                return cut_above, cut_below + length
    return 0, 0


def _lengths(most: int, expected: int) -> Iterator[int]:
    """Yield how many lines may be shared, the likeliest first: forms repeat their lines."""
    if expected:
        yield from sorted(range(1, most + 1), key=lambda length: abs(length - expected))


def _alike(one: str, other: str) -> bool:
    one, other = " ".join(one.split()).casefold(), " ".join(other.split()).casefold()
    # Numbers and short words differ too easily by what matters.
    if one == other or min(len(one), len(other)) < SHORT:
        return one == other
    if [c for c in one if c.isdigit()] != [c for c in other if c.isdigit()]:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE
