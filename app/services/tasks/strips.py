"""Joins what was read in the tiles of one page: nothing doubled, nothing lost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import product
from statistics import median
from typing import Generic, TypeVar

from app.services.geometry import Box

ItemT = TypeVar("ItemT")

ALIKE = 0.6
"""Mean similarity from which lines of two tiles are taken for the same lines, 0 to 1."""
EACH_LINE_OFF = 0.05
"""The cost of an alignment that is a line longer or shorter than expected."""
EACH_LINE_CUT = 0.02
"""The cost of taking a tile's outermost line for one that was cut in half."""
OTHER_NUMBER = 0.3
"""Similarity of lines that differ in a number: likelier two lines than one misread."""
SHORT = 8
"""Characters below which a line has to be read the same twice."""
SPLICE = 3
"""Characters in common from which two parts of a line are laid over each other."""
SPLICE_WITHIN = 80
"""Characters of either part in which that is looked for: the width of an overlap."""
GUTTER, PROSE = 40, 25
"""Empty pixels and characters a line from which columns of text stand side by side."""


@dataclass(frozen=True, slots=True)
class Strip(Generic[ItemT]):
    """The text of one tile, or of a row of them."""

    lines: Sequence[ItemT]
    shared: float = 0.0
    """Share of its lines that the strip above shows as well, by their ink, 0 to 1."""
    top: float = 0.0
    """The place where it begins on the page, as a share of its height."""
    bottom: float = 1.0


def joined(
    strips: Sequence[Strip[ItemT]],
    key: Callable[[ItemT], str] = str,
    place: Callable[[ItemT], Box | None] = lambda _: None,
) -> list[ItemT]:
    """Return the lines of all ``strips``, those that two of them show once.

    ``key`` gives a line's text, ``place`` its box on the page. Where all places are known they
    decide, else the texts do. A line cut in half at a strip's edge is read wrongly there, so the
    outermost line on either side may be left out.
    """
    result: list[ItemT] = []
    above: Strip[ItemT] | None = None
    for strip in strips:
        if above is None or strip.shared <= 0:
            result = [*result, *strip.lines]
        elif all(place(item) for item in (*above.lines, *strip.lines)):
            result = _by_place(result, above, strip, place)
        else:
            before, after = _overlap(
                [key(line) for line in result],
                [key(line) for line in strip.lines],
                strip.shared * len(strip.lines),
            )
            result = [*result[: len(result) - before], *strip.lines[after:]]
        above = strip
    return result


def _by_place(
    result: Sequence[ItemT],
    above: Strip[ItemT],
    below: Strip[ItemT],
    place: Callable[[ItemT], Box | None],
) -> list[ItemT]:
    """Return both strips' lines; of one line read twice the reading that has it whole."""
    kept, added = list(result), list(below.lines)
    for line in below.lines:
        box = place(line)
        twin = next((old for old in kept if _same_place(place(old), box)), None)
        if twin is None:
            continue
        old = place(twin)
        assert old is not None
        assert box is not None
        # The further from its strip's edge the less was cut off.
        if above.bottom - old.bottom < box.top - below.top:
            kept.remove(twin)
        else:
            added.remove(line)
    return [*kept, *added]


def _same_place(one: Box | None, other: Box | None) -> bool:
    if one is None or other is None:
        return False
    height = min(one.bottom - one.top, other.bottom - other.top)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    width = min(one.right - one.left, other.right - other.left)
    across = min(one.right, other.right) - max(one.left, other.left)
    return down > 0.5 * height and across > 0.5 * width


def _overlap(above: Sequence[str], below: Sequence[str], expected: float) -> tuple[int, int]:
    """Return how many lines to drop at the end of ``above`` and at the start of ``below``."""
    best, result = ALIKE, (0, 0)
    most = min(len(above), len(below), 2 * round(expected) + 4)
    for cut_above, cut_below in product((0, 1), (0, 1)):
        for length in range(1, most + 1):
            end = len(above) - cut_above
            upper = above[max(0, end - length) : end]
            lower = below[cut_below : cut_below + length]
            if not len(upper) == length == len(lower):
                continue
            # Of a line that was cut in half about half is in what both show.
            cost = EACH_LINE_OFF * abs(length + (cut_above + cut_below) / 2 - expected)
            cost += EACH_LINE_CUT * (cut_above + cut_below)
            score = sum(map(_similarity, upper, lower)) / length - cost
            if score > best:
                best, result = score, (cut_above, cut_below + length)
    return result


def _similarity(one: str, other: str) -> float:
    one, other = " ".join(one.split()).casefold(), " ".join(other.split()).casefold()
    # Numbers and short words differ too easily by what matters.
    if one == other or min(len(one), len(other)) < SHORT:
        return float(one == other)
    if [c for c in one if c.isdigit()] != [c for c in other if c.isdigit()]:
        return OTHER_NUMBER
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def beside(
    left: Sequence[ItemT],
    right: Sequence[ItemT],
    *,
    overlap: bool,
    gap: int,
    key: Callable[[ItemT], str],
    splice: Callable[[ItemT, ItemT, str], ItemT],
) -> list[ItemT]:
    """Return the lines of two tiles side by side, where they show the same lines in two parts.

    ``gap`` are the empty pixels between them where they don't overlap. ``splice`` makes one line
    of two parts and their common text. Columns of running text stay one after the other.
    """
    if not left or not right:
        return [*left, *right]
    lengths = [median(len(key(line)) for line in side) for side in (left, right)]
    if not overlap and gap >= GUTTER and min(lengths) >= PROSE:
        return [*left, *right]
    if len(left) == len(right):
        return [
            splice(one, other, spliced(key(one), key(other), overlap=overlap))
            for one, other in zip(left, right, strict=True)
        ]
    return list(_matched(left, right, key, splice)) if overlap else [*left, *right]


def _matched(
    left: Sequence[ItemT],
    right: Sequence[ItemT],
    key: Callable[[ItemT], str],
    splice: Callable[[ItemT, ItemT, str], ItemT],
) -> Iterator[ItemT]:
    """Yield lines put together where their parts have text in common, in order."""
    at = 0
    for line in left:
        others = range(at, len(right))
        match = next((n for n in others if _common(key(line), key(right[n]))), None)
        if match is None:
            yield line
            continue
        yield from right[at:match]
        text = spliced(key(line), key(right[match]), overlap=True)
        yield splice(line, right[match], text)
        at = match + 1
    yield from right[at:]


def spliced(left: str, right: str, *, overlap: bool) -> str:
    """Return a line from its two parts, what both show once."""
    common = _common(left, right) if overlap else None
    if common is None:
        return f"{left.rstrip()} {right.lstrip()}".strip()
    end, start = common
    return left[:end] + right[start:]


def _common(left: str, right: str) -> tuple[int, int] | None:
    """Return where the text in common begins in each part, None where there is none."""
    tail, head = left[-SPLICE_WITHIN:], right[:SPLICE_WITHIN]
    match = SequenceMatcher(None, tail, head, autojunk=False).find_longest_match()
    if match.size < SPLICE:
        return None
    return len(left) - len(tail) + match.a, match.b
