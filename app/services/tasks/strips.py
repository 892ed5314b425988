"""Joins what was read in the tiles of one page: nothing doubled, nothing lost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import product
from statistics import median
from typing import Generic, TypeVar

from app.services.geometry import Box

ItemT = TypeVar("ItemT")
Level = tuple[float, float]
"""The rows in which a line begins and ends, on a page turned so that lines are level."""

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
CUT_LETTERS = 2
"""Characters at the end of a line's part that may be read wrongly, as they were cut."""
EACH_LETTER_OFF = 0.03
"""The cost of parts that have a character more or less in common than expected."""
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
                # Of lines that slant several are cut at an edge: each is taken of the strip in
                # which it is further from one.
                half = length // 2
                best, result = score, (cut_above + half, cut_below + length - half)
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
    common: float,
    gap: int,
    key: Callable[[ItemT], str],
    splice: Callable[[ItemT, ItemT, str], ItemT],
    level: Callable[[ItemT], Level | None] = lambda _: None,
) -> list[ItemT]:
    """Return the lines of two tiles side by side, where they show the same lines in two parts.

    ``common`` are the characters of a line that both show, 0 where they don't overlap, and ``gap``
    the empty pixels between them then. ``splice`` makes one line of two parts and their text
    together. Where the ``level`` of all lines is known it tells which
    belong together. Columns of running text stay one after the other.
    """
    if not left or not right:
        return [*left, *right]
    lengths = [median(len(key(line)) for line in side) for side in (left, right)]
    if not common and gap >= GUTTER and min(lengths) >= PROSE:
        return [*left, *right]
    levels, others = ([known for line in side if (known := level(line))] for side in (left, right))
    pairs: Iterable[Pair]
    if len(levels) == len(left) and len(others) == len(right):
        pairs = _level_pairs(levels, others)
    elif len(left) == len(right):
        pairs = zip(range(len(left)), range(len(right)), strict=True)
    elif common:
        texts = [[key(line) for line in side] for side in (left, right)]
        pairs = _common_pairs(texts[0], texts[1], common)
    else:
        return [*left, *right]

    def one(first: int | None, second: int | None) -> ItemT:
        if first is not None and second is not None:
            text = spliced(key(left[first]), key(right[second]), common=common)
            return splice(left[first], right[second], text)
        return left[first] if first is not None else right[second or 0]

    return [one(*pair) for pair in pairs]


Pair = tuple[int | None, int | None]
"""Positions of the two parts of one line, None where there is no part on that side."""


def _level_pairs(left: Sequence[Level], right: Sequence[Level]) -> Iterator[Pair]:
    """Yield the parts of each line by their level, from top to bottom."""
    one = other = 0
    while one < len(left) and other < len(right):
        (top, bottom), (top2, bottom2) = left[one], right[other]
        common = min(bottom, bottom2) - max(top, top2)
        if common > 0.5 * min(bottom - top, bottom2 - top2):
            yield one, other
            one, other = one + 1, other + 1
        elif top + bottom <= top2 + bottom2:
            yield one, None
            one += 1
        else:
            yield None, other
            other += 1
    yield from ((place, None) for place in range(one, len(left)))
    yield from ((None, place) for place in range(other, len(right)))


def _common_pairs(left: Sequence[str], right: Sequence[str], common: float) -> Iterator[Pair]:
    """Yield the parts of each line by the text that they have in common, in order."""
    at = 0
    for place, line in enumerate(left):
        match = next((n for n in range(at, len(right)) if _common(line, right[n], common)), None)
        if match is None:
            yield place, None
            continue
        yield from ((None, between) for between in range(at, match))
        yield place, match
        at = match + 1
    yield from ((None, place) for place in range(at, len(right)))


def spliced(left: str, right: str, *, common: float) -> str:
    """Return a line from its two parts, what both show once.

    ``common`` are the characters that both are expected to have; 0 where they share nothing.
    """
    match = _common(left, right, common) if common else None
    if match is None:
        return f"{left.rstrip()} {right.lstrip()}".strip()
    end, start = match
    return left[:end] + right[start:]


def _common(left: str, right: str, expected: float) -> tuple[int, int] | None:
    """Return where the left part ends and the right one goes on, None where they share nothing."""
    best, result = ALIKE, None
    most = min(len(left), len(right), round(2 * expected) + 8)
    for cut_left, cut_right in product(range(CUT_LETTERS + 1), repeat=2):
        tail, head = left[: len(left) - cut_left], right[cut_right:]
        for length in range(1, min(most, len(tail), len(head)) + 1):
            cost = EACH_LETTER_OFF * abs(length + (cut_left + cut_right) / 2 - expected)
            cost += EACH_LINE_CUT * (cut_left + cut_right)
            if 1 - cost <= best:
                continue
            score = _agreement(tail[-length:], head[:length]) - cost
            if score > best:
                best, result = score, (len(tail), cut_right + length)
    return result


def _agreement(one: str, other: str) -> float:
    """Return how alike two texts are, letter by letter; where digits differ they are not."""
    pairs = list(zip(one.casefold(), other.casefold(), strict=True))
    if any(a != b and (a.isdigit() or b.isdigit()) for a, b in pairs):
        return 0.0
    return sum(a == b for a, b in pairs) / len(pairs)
