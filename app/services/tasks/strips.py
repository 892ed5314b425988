"""Joins the text of a page's tiles without duplicates or losses."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import product
from statistics import median
from typing import Generic, TypeVar

from app.services.geometry import Box

ItemT = TypeVar("ItemT")
Level = tuple[float, float]
"""The first and last pixel row of a line on the levelled page."""

ALIKE = 0.6
"""Minimum mean similarity, 0 to 1, of lines in two tiles that count as the same lines."""
EACH_LINE_OFF = 0.05
"""Cost of each line by which an alignment is longer or shorter than expected."""
EACH_LINE_CUT = 0.02
"""Cost of treating a tile's outermost line as cut in half."""
OTHER_NUMBER = 0.3
"""Similarity of lines that differ in a number, which are probably different lines."""
SHORT = 8
"""Number of characters below which only identical lines match."""
CUT_LETTERS = 2
"""Maximum characters at the cut end of a line's part that may be misread."""
EACH_LETTER_OFF = 0.03
"""Cost of each character by which the common part is longer or shorter than expected."""
GUTTER, PROSE = 40, 25
"""Minimum empty pixels and characters per line for separate columns of text."""


@dataclass(frozen=True, slots=True)
class Strip(Generic[ItemT]):
    """The text of one tile, or of a row of them."""

    lines: Sequence[ItemT]
    shared: float = 0.0
    """Share of its ink that the strip above also shows, 0 to 1."""
    top: float = 0.0
    """The strip's top on the page, as a fraction of the page's height."""
    bottom: float = 1.0


def joined(
    strips: Sequence[Strip[ItemT]],
    key: Callable[[ItemT], str] = str,
    place: Callable[[ItemT], Box | None] = lambda _: None,
) -> list[ItemT]:
    """Return the lines of all ``strips`` without those that two strips show.

    ``key`` returns a line's text and ``place`` its box on the page. Duplicates are found by the
    boxes if all are known, else by the texts. A line that is cut in half at a strip's edge is
    misread there, so the outermost lines may be dropped.
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
    """Return both strips' lines; of a line read twice, the more complete reading is kept."""
    kept, added = list(result), list(below.lines)
    for line in below.lines:
        box = place(line)
        twin = next((old for old in kept if _same_place(place(old), box)), None)
        if twin is None:
            continue
        old = place(twin)
        assert old is not None
        assert box is not None
        # A line further from its strip's edge is more complete.
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
    """Return the numbers of lines to drop at the end of ``above`` and the start of ``below``."""
    best, result = ALIKE, (0, 0)
    most = min(len(above), len(below), 2 * round(expected) + 4)
    for cut_above, cut_below in product((0, 1), (0, 1)):
        for length in range(1, most + 1):
            end = len(above) - cut_above
            upper = above[max(0, end - length) : end]
            lower = below[cut_below : cut_below + length]
            if not len(upper) == length == len(lower):
                continue
            # A line that was cut in half counts as half a common line.
            cost = EACH_LINE_OFF * abs(length + (cut_above + cut_below) / 2 - expected)
            cost += EACH_LINE_CUT * (cut_above + cut_below)
            score = sum(map(_similarity, upper, lower)) / length - cost
            if score > best:
                # Several slanting lines are cut at an edge, so each is taken from the strip in
                # which it is further from the edge.
                half = length // 2
                best, result = score, (cut_above + half, cut_below + length - half)
    return result


def _similarity(one: str, other: str) -> float:
    one, other = " ".join(one.split()).casefold(), " ".join(other.split()).casefold()
    # Short texts must be equal, because small differences change their meaning.
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
    """Join the lines of two adjacent tiles that show the left and right parts of lines.

    ``common`` is the number of characters that both tiles show of a line, or 0 if they do not
    overlap, in which case ``gap`` is the number of empty pixels between them. ``splice`` joins two
    parts, given their joined text. If the ``level`` of all lines is known, it decides which parts
    belong together. Columns of running text are kept one after the other.
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
"""Positions of the left and right parts of a line; None for a missing part."""


def _level_pairs(left: Sequence[Level], right: Sequence[Level]) -> Iterator[Pair]:
    """Yield the parts of each line, matched by level, from top to bottom."""
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
    """Yield the parts of each line in order, matched by their common text."""
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
    """Return a line joined from two parts, without repeating their common text.

    ``common`` is the expected number of common characters, 0 if there are none.
    """
    match = _common(left, right, common) if common else None
    if match is None:
        return f"{left.rstrip()} {right.lstrip()}".strip()
    end, start = match
    return left[:end] + right[start:]


def _common(left: str, right: str, expected: float) -> tuple[int, int] | None:
    """Return where to cut the left part and start the right one; None without common text."""
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
    """Return the letter-by-letter similarity of two texts, which is 0 if digits differ."""
    pairs = list(zip(one.casefold(), other.casefold(), strict=True))
    if any(a != b and (a.isdigit() or b.isdigit()) for a, b in pairs):
        return 0.0
    return sum(a == b for a, b in pairs) / len(pairs)
