"""Finds ink and empty space on a drawn page. Runs in a worker process, as it reads pixels."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import ceil, isfinite

import pyvips

from app.services.documents.page import Slant, Span, Tile

EDGE = 32
"""Minimum difference between neighbouring pixels for ink, of 255."""
NOISE = 9
"""Factor from the median difference of neighbouring pixels to the maximum of noise."""
BLURRED, FAINTEST = 24, 64
"""Smallest and largest threshold for ink on a page that was blurred because of its noise. Letters
can't be told from noise above the second."""
RULE_STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Shifts that find rules: their sum plus one is the minimum length in pixels of a line of ink that
is a table's rule and not a letter, so that cutting through it loses nothing. They double because
run lengths are found by halves."""
BREAK_STEPS = (1, 2)
"""Shifts whose sum is the maximum gap in a rule, such as where another rule crosses it."""
CROWDED = 32
"""Side in pixels of the squares that are searched for rules. A square that is half ink or more
shows a picture or noise instead."""
STEEPEST, STEP = 0.08, 0.005
"""The steepest slope that is searched for, in pixels down per pixel across, and the step."""
PART = 240
"""Width in pixels of the parts of a page whose slope is measured separately. Twice the width is
more precise, but may span two columns."""
THINNED = 3
NARROWEST = 32
"""Minimum side in pixels of a page whose slope can be measured."""
SAMPLE = 2_400
"""Maximum side in pixels of the middle part of the page that is searched for a slope."""
CLEARLY = 1.005
"""Minimum contrast of sloping lines as a multiple of that of level lines."""
LINE_GAP = 2
"""Minimum empty pixels between two lines of text."""


def edges(image: pyvips.Image) -> pyvips.Image:
    """Return an image with 1 where a pixel differs from the one to its left or above it, else 0."""
    return _marked(_grey(image), EDGE)


def letters(image: pyvips.Image) -> pyvips.Image:
    """Return an image with 1 where there is more than the page's noise, else 0."""
    grey = _grey(image)
    if _noise(grey) <= EDGE:
        return _marked(grey, EDGE)
    blurred = grey.gaussblur(1)
    noise = _noise(blurred)
    return _marked(grey, EDGE) if noise > FAINTEST else _marked(blurred, max(BLURRED, noise))


def darkness(image: pyvips.Image) -> pyvips.Image:
    """Return each pixel's difference from the paper's grey, 0 to 255."""
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
    # Enlarged and cropped, since libvips refuses to move a whole image out of its frame.
    larger = image.embed(right, down, image.width + right, image.height + down, extend="copy")
    return larger.crop(0, 0, image.width, image.height)


def slope(ink: pyvips.Image) -> float:
    """Return the slope of the lines of text, in pixels down per pixel to the right.

    At the right slope, rows are either full or empty, so the sum of their squares is greatest. It
    is measured separately for each part of the width, because across the whole width one line's
    end may be level with the beginning of the next line or with a line of another column.
    """
    if min(ink.width, ink.height) < NARROWEST:
        return 0.0
    # Every third column of a part gives the same result in a fraction of the time.
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
    # Columns are not moved sideways, so that each part has the same letters for every slope.
    level, part = _turned(thin, steep * THINNED, 0.0), ceil(width / THINNED)
    starts = range(0, level.width, part)
    parts = (level.crop(at, 0, min(part, level.width - at), level.height) for at in starts)
    return sum(count * count for one in parts for count in profile(one))


def along(ink: pyvips.Image, steep: float) -> pyvips.Image:
    """Return a page turned so that lines of this slope are level.

    The pixel at x and y moves to row y - steep * x + `lift`.
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
    """Return how many pixels the top left corner moves down when a page is levelled."""
    return max(0.0, steep * width)


def shift(steep: float, height: int) -> float:
    """Return how many pixels the top left corner moves right when a page is levelled."""
    return max(0.0, -steep * height)


def slanted(
    image: pyvips.Image, tile: Tile, slant: Slant, background: Sequence[float]
) -> pyvips.Image:
    """Return a tile in which everything outside ``slant`` is ``background``."""
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
    """Return the median of each band of a tile, which is the colour of its paper."""
    return [image[band].percent(50) for band in range(image.bands)]


def profile(ink: pyvips.Image) -> Sequence[int]:
    """Return the number of ink pixels in each row."""
    return _numbers(ink.project()[1])


def gaps(ink: pyvips.Image, least: int, *, down: bool) -> list[Span]:
    """Return runs of at least ``least`` empty rows (``down``) or columns, ignoring rules."""
    columns, rows = (ink & (_rules(ink, down=down) ^ 1)).project()
    return _gaps(_numbers(rows if down else columns), least)


def _gaps(counts: Sequence[int], least: int) -> list[Span]:
    return [run for run in _runs(counts) if run.length >= least]


def lines(ink: pyvips.Image, steep: float) -> list[Span]:
    """Return the probable lines of text as rows of the levelled image.

    The image's top left corner is in row 0. Rules of tables do not count as lines.
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
    """Return the ink without rules of tables and between columns."""
    return ink & ((_rules(ink, down=True) | _rules(ink, down=False)) ^ 1)


def _rules(ink: pyvips.Image, *, down: bool) -> pyvips.Image:
    """Return an image with 1 where ink continues for 128 pixels ``down`` or across, else 0."""
    length, breadth = (ink.height, ink.width) if down else (ink.width, ink.height)
    if length <= sum(RULE_STEPS) or breadth < CROWDED:
        return ink.new_from_image(0)
    rules = ink & _sparse(ink)
    for step in BREAK_STEPS:
        rules = (rules | _shifted(rules, step, down=down)).copy_memory()
    for step in RULE_STEPS:
        # Rendered to memory at each step, or libvips would compute it again for every later step.
        rules = (rules & _shifted(rules, step, down=down)).copy_memory()
    for step in RULE_STEPS:
        rules = (rules | _shifted(rules, -step, down=down)).copy_memory()
    # One pixel more on both sides, because levelling makes a rule's edges jagged.
    before, after = (_shifted(rules, by, down=not down) for by in (-1, 1))
    return (rules | before | after).copy_memory()


def _sparse(ink: pyvips.Image) -> pyvips.Image:
    """Return an image with 1 in squares that are less than half ink, else 0."""
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
