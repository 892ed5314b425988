"""Texts of overlapping strips of one page, joined without doubled lines."""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import TypeVar

ItemT = TypeVar("ItemT")

ALIKE = 0.8
"""Similarity from which two readings of a line are taken for one line, 0 to 1."""
LONGEST_OVERLAP = 40
"""Lines; two strips share a tenth of a page."""


def joined(strips: Sequence[Sequence[ItemT]], key: Callable[[ItemT], str] = str) -> list[ItemT]:
    """Return the lines of all ``strips``, those at the end of one and the start of the next once.

    ``key`` gives a line's text. The longest overlap counts. A line cut in half at a strip's edge
    may be read wrongly there, so the outermost line on either side may be left out of it.
    """
    result: list[ItemT] = []
    for strip in strips:
        before, after = _overlap([key(i) for i in result], [key(i) for i in strip])
        result = [*result[: len(result) - before], *strip[after:]]
    return result


def _overlap(above: Sequence[str], below: Sequence[str]) -> tuple[int, int]:
    """Return how many lines to drop at the end of ``above`` and at the start of ``below``."""
    for length in range(min(LONGEST_OVERLAP, len(above), len(below)), 0, -1):
        for cut_above, cut_below in ((0, 0), (1, 0), (0, 1), (1, 1)):
            end = len(above) - cut_above
            upper = above[max(0, end - length) : end]
            lower = below[cut_below : cut_below + length]
            if len(upper) == length == len(lower) and all(map(_alike, upper, lower)):
                return cut_above, cut_below + length
    return 0, 0


def _alike(one: str, other: str) -> bool:
    one, other = " ".join(one.split()).casefold(), " ".join(other.split()).casefold()
    # Numbers and short words differ too easily by what matters.
    if one == other or min(len(one), len(other)) < 8:
        return one == other
    if [c for c in one if c.isdigit()] != [c for c in other if c.isdigit()]:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE
