"""Finds ink and empty space on a drawn page. Runs in a worker process: it reads pixels."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import ceil, isfinite

import pyvips

from app.services.documents.page import Slant, Span, Tile

EDGE = 32
"""Difference between neighbouring pixels from which there is ink, of 255."""
NOISE = 9
"""Times the difference that half of a page's pixels have: noise has less than that."""
BLURRED, FAINTEST = 24, 64
"""Differences from which there is ink on a page that was blurred for its noise: at least and at
most. Where noise has more than the second, letters can't be told from it."""
RULE_STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Added up, one less than the pixels from which a line of ink is a table's rule and no letter:
cutting through it loses nothing. Doubled, as a run's length is found by halves."""
BREAK_STEPS = (1, 2)
"""Added up, the pixels that may be missing in a rule, as where another one crosses it."""
CROWDED = 32
"""Pixels of a side of a square that is no place of rules where ink takes half of it or more: it
shows a picture or noise."""
STEEPEST, STEP = 0.08, 0.005
"""The steepest lines that are looked for, pixels down for each pixel across, and by which steps."""
PART = 240
"""Pixels of a page's width in which a slope shows by itself; twice as many show it better, but may
be of two columns."""
THINNED = 3
NARROWEST = 32
"""Pixels of a side below which there is no line whose slope could be seen."""
SAMPLE = 2_400
"""Pixels of either side that are looked at for a slope, in the middle of the page."""
CLEARLY = 1.005
"""Times the contrast of level lines that others have to have."""
LINE_GAP = 2
"""Pixels of emptiness that part two lines of text."""


def edges(image: pyvips.Image) -> pyvips.Image:
    """Return 1 where a pixel differs from the one to its left or the one above it, else 0."""
    return _marked(_grey(image), EDGE)


def letters(image: pyvips.Image) -> pyvips.Image:
    """Return 1 where there is more than the noise of the page, else 0."""
    grey = _grey(image)
    if _noise(grey) <= EDGE:
        return _marked(grey, EDGE)
    blurred = grey.gaussblur(1)
    noise = _noise(blurred)
    return _marked(grey, EDGE) if noise > FAINTEST else _marked(blurred, max(BLURRED, noise))


def darkness(image: pyvips.Image) -> pyvips.Image:
    """Return how far each pixel is from the paper's grey, 0 to 255."""
    grey = _grey(image)
    return (grey - paper(grey)[0]).abs().cast("uchar").copy_memory()


def _grey(image: pyvips.Image) -> pyvips.Image:
    return image.colourspace("b-w") if image.bands > 1 else image


def _noise(grey: pyvips.Image) -> int:
    difference = (grey - _moved(grey, 1, 0)).abs().cast("uchar")
    middle: int = difference.percent(50)
    return NOISE * middle


def _marked(grey: pyvips.Image, least: int) -> pyvips.Image:
    across, along = ((grey - _moved(grey, *by)).abs() >= least for by in ((1, 0), (0, 1)))
    return ((across | along) & 1).cast("uchar").copy_memory()


def _moved(image: pyvips.Image, right: int, down: int) -> pyvips.Image:
    # Larger and cut, as libvips refuses to move all of a picture out of its frame.
    larger = image.embed(right, down, image.width + right, image.height + down, extend="copy")
    return larger.crop(0, 0, image.width, image.height)


def slope(ink: pyvips.Image) -> float:
    """Return how steep the lines of text are: pixels down for each pixel to the right.

    Along the lines rows are either full or empty, so that is where their squares add up to most.
    In each part of the width by itself: across all of it one line's end may lie as well with the
    next one's beginning, or with a line of another column.
    """
    if min(ink.width, ink.height) < NARROWEST:
        return 0.0
    # Every third column of a part tells as much, in a fraction of the time.
    width, height = min(ink.width, SAMPLE), min(ink.height, SAMPLE)
    middle = ink.crop((ink.width - width) // 2, (ink.height - height) // 2, width, height)
    thin = middle.subsample(THINNED, 1).copy_memory()
    steps = round(STEEPEST / STEP)
    contrasts = {
        step * STEP: _contrast(thin, step * STEP, PART) for step in range(-steps, steps + 1)
    }
    best = max(contrasts, key=lambda steep: contrasts[steep])
    if contrasts[best] < CLEARLY * contrasts[0.0]:
        best = 0.0
    fine = [best + part * STEP / 4 for part in range(-8, 9)]
    return max(fine, key=lambda steep: (_clearness(thin, steep), -abs(steep)))


def _clearness(thin: pyvips.Image, steep: float) -> int:
    return _contrast(thin, steep, PART) * _contrast(thin, steep, 2 * PART)


def _contrast(thin: pyvips.Image, steep: float, width: int) -> int:
    # Columns stay where they are, so that each part has the same letters whatever the slope.
    level, part = _turned(thin, steep * THINNED, 0.0), ceil(width / THINNED)
    starts = range(0, level.width, part)
    parts = (level.crop(at, 0, min(part, level.width - at), level.height) for at in starts)
    return sum(count * count for one in parts for count in profile(one))


def along(ink: pyvips.Image, steep: float) -> pyvips.Image:
    """Return a page turned so that lines of this slope are level.

    The pixel at x and y comes in row y - steep * x + `lift`.
    """
    return _turned(ink, steep, steep)


def _turned(ink: pyvips.Image, steep: float, aside: float) -> pyvips.Image:
    if not steep:
        return ink
    width, height = ink.width, ink.height
    return ink.affine(
        [1, aside, -steep, 1],
        interpolate=pyvips.Interpolate.new("nearest"),
        oarea=[0, 0, width + ceil(abs(aside) * height), height + ceil(abs(steep) * width)],
        odx=shift(aside, height),
        ody=lift(steep, width),
    ).copy_memory()


def lift(steep: float, width: int) -> float:
    """Return how far down the top left corner comes when a page is turned level."""
    return max(0.0, steep * width)


def shift(steep: float, height: int) -> float:
    """Return how far to the right the top left corner comes when a page is turned level."""
    return max(0.0, -steep * height)


def slanted(
    image: pyvips.Image, tile: Tile, slant: Slant, background: Sequence[float]
) -> pyvips.Image:
    """Return a tile of a page that shows nothing beyond the lines between which it lies."""
    if not slant.steep:
        return image
    place = pyvips.Image.xyz(image.width, image.height)
    x, y = place[0] + tile.left, place[1] + tile.top
    row, column = y - x * slant.steep, x + y * slant.steep
    inside = (row >= slant.top) & (row < slant.bottom)
    if isfinite(slant.left):
        inside &= (column >= slant.left) & (column < slant.right)
    paper = image.new_from_image(list(background))
    return inside.ifthenelse(image, paper).copy_memory()


def paper(image: pyvips.Image) -> list[int]:
    """Return the colour that half of a tile is lighter than, band by band: that of the paper."""
    return [image[band].percent(50) for band in range(image.bands)]


def profile(ink: pyvips.Image) -> Sequence[int]:
    """Return how many pixels of ink each row has."""
    return _numbers(ink.project()[1])


def gaps(ink: pyvips.Image, least: int, *, down: bool) -> list[Span]:
    """Return the empty runs of rows (``down``) or columns that are ``least`` pixels or more."""
    columns, rows = (ink & (_rules(ink, down=down) ^ 1)).project()
    return _gaps(_numbers(rows if down else columns), least)


def _gaps(counts: Sequence[int], least: int) -> list[Span]:
    return [run for run in _runs(counts) if run.length >= least]


def lines(ink: pyvips.Image, steep: float) -> list[Span]:
    """Return where lines of text seem to stand: rows of a part of a page that was turned level.

    The part's top left corner is in row 0. Rules of tables are none.
    """
    counts = profile(along(unruled(ink), steep))
    lifted = round(lift(steep, ink.width))
    result, start = [], 0
    for gap in (*_gaps(counts, LINE_GAP), Span(len(counts), 0)):
        if gap.start > start:
            result.append(Span(start - lifted, gap.start - start))
        start = gap.start + gap.length
    return result


def unruled(ink: pyvips.Image) -> pyvips.Image:
    """Return the ink without the rules of tables and between columns."""
    return ink & ((_rules(ink, down=True) | _rules(ink, down=False)) ^ 1)


def _rules(ink: pyvips.Image, *, down: bool) -> pyvips.Image:
    """Return 1 where ink goes on for 128 pixels ``down`` or across, else 0."""
    length, breadth = (ink.height, ink.width) if down else (ink.width, ink.height)
    if length <= sum(RULE_STEPS) or breadth < CROWDED:
        return ink.new_from_image(0)
    rules = ink & _sparse(ink)
    for step in BREAK_STEPS:
        rules = (rules | _shifted(rules, step, down=down)).copy_memory()
    for step in RULE_STEPS:
        # In memory each time: what is only planned would be worked out again for every step after.
        rules = (rules & _shifted(rules, step, down=down)).copy_memory()
    for step in RULE_STEPS:
        rules = (rules | _shifted(rules, -step, down=down)).copy_memory()
    # A pixel more on both sides: turned level, a rule's edges waver by that.
    before, after = (_shifted(rules, by, down=not down) for by in (-1, 1))
    return (rules | before | after).copy_memory()


def _sparse(ink: pyvips.Image) -> pyvips.Image:
    """Return 1 in squares of which ink takes less than half."""
    sparse = (ink * 255).cast("uchar").shrink(CROWDED, CROWDED) < 128
    return (sparse & 1).zoom(CROWDED, CROWDED).embed(0, 0, ink.width, ink.height, extend="copy")


def _shifted(image: pyvips.Image, step: int, *, down: bool) -> pyvips.Image:
    left, top = (0, -step) if down else (-step, 0)
    return image.embed(left, top, image.width, image.height)


def _numbers(line: pyvips.Image) -> Sequence[int]:
    return memoryview(line.write_to_memory()).cast("I")


def _runs(counts: Sequence[int]) -> Iterator[Span]:
    start = 0
    for is_empty, run in groupby(counts, key=lambda count: count == 0):
        length = sum(1 for _ in run)
        if is_empty:
            yield Span(start, length)
        start += length
