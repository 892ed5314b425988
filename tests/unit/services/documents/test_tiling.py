"""Where a page is cut into tiles."""

import io
import random
from collections.abc import Sequence
from itertools import product
from math import radians, tan

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont

from app.domain.image import ImageLimits
from app.services.documents.ink import letters, slope
from app.services.documents.page import OVERLAP, Cut
from app.services.documents.render import Kind, drawn
from app.services.documents.tiling import tiles
from app.services.images.codecs.pixel_transfer import from_pillow
from tests.support.files.drawn_words import encoded


def page(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (width, height), 255)
    return image, ImageDraw.Draw(image)


def lines(draw: ImageDraw.ImageDraw, tops: range, width: int, *, height: int = 14) -> None:
    for top in tops:
        draw.rectangle((40, top, width - 40, top + height), fill=0)


def test_lines_are_never_cut_and_each_is_shown_once():
    image, draw = page(1120, 1584)
    tops = range(30, 1540, 22)
    lines(draw, tops, 1120)
    cuts = tiles(1, from_pillow(image))

    assert [cut.shared_above for cut in cuts] == [0] * len(cuts)
    for top in tops:
        holding = [c for c in cuts if c.tile.top <= top and top + 14 < c.tile.top + c.tile.height]
        assert len(holding) == 1


@pytest.mark.parametrize("degrees", [0, 2])
def test_a_tables_rules_do_not_prevent_cuts_between_its_rows(degrees):
    image, draw = page(1120, 1584)
    for top in range(30, 1540, 34):
        for left in range(30, 1000, 180):
            draw.rectangle((left, top, left + 120, top + 14), fill=0)
        draw.line((20, top + 24, 1098, top + 24), fill=0, width=2)
    for left in range(20, 1120, 180):
        draw.line((left, 20, left, 1564), fill=0, width=2)
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)

    assert all(cut.shared_above == 0 for cut in tiles(1, from_pillow(turned)))


def test_tiles_overlap_where_nothing_is_blank():
    image = Image.effect_noise((1120, 1584), 100)
    cuts = tiles(1, from_pillow(image))

    assert [cut.shared_above for cut in cuts] == [0, OVERLAP, OVERLAP, OVERLAP]
    assert cuts[-1].tile.top + cuts[-1].tile.height == 1584


def test_blank_tiles_are_omitted_unless_all_are_blank():
    image, draw = page(1120, 1584)
    lines(draw, range(1500, 1540, 22), 1120)

    assert [cut.row for cut in tiles(1, from_pillow(image))] == [3]
    assert len(tiles(1, from_pillow(page(1120, 1584)[0]))) == 1


def test_a_wide_page_is_cut_vertically_between_its_words():
    image, draw = page(6000, 200)
    for left in range(20, 5900, 130):
        draw.rectangle((left, 80, left + 100, 110), fill=0)
    cuts = tiles(1, from_pillow(image))

    assert len(cuts) >= 6
    assert all(cut.tile.width <= 1120 and cut.shared_left == 0 for cut in cuts)
    assert sum(cut.tile.width for cut in cuts) == 6000


@pytest.mark.parametrize("size", [(1, 5000), (2, 3000), (5000, 1), (31, 1200), (1, 1)])
def test_a_page_of_any_size_can_be_cut(size):
    image = Image.effect_noise(size, 100)
    cuts = tiles(1, from_pillow(image))

    assert max(cut.tile.left + cut.tile.width for cut in cuts) == size[0]
    assert max(cut.tile.top + cut.tile.height for cut in cuts) == size[1]


@pytest.mark.parametrize("width", [300, 560])
def test_a_narrow_page_has_taller_tiles(width):
    image, draw = page(width, 3000)
    lines(draw, range(10, 2980, 22), width)
    cuts = tiles(1, from_pillow(image))

    assert len(cuts) == 3
    assert all(cut.tile.height <= 1120 for cut in cuts)


def assert_shown_once(image: Image.Image, cuts: Sequence[Cut]) -> None:
    shown = Image.new("L", image.size, 255)
    whole = encoded(image, "PNG")
    for cut in cuts:
        png = drawn(whole, Kind.PICTURE, cut, ImageLimits()).png
        part = Image.new("L", image.size, 255)
        part.paste(Image.open(io.BytesIO(png)), (cut.tile.left, cut.tile.top))
        # Nothing is shown twice: no two tiles have ink at the same place.
        assert sum(ImageChops.lighter(shown, part).histogram()[:200]) == 0
        shown = ImageChops.darker(shown, part)
    assert sum(ImageChops.difference(shown, image).histogram()[60:]) == 0


def slanting(degrees: float) -> Image.Image:
    image, draw = page(1120, 1584)
    lines(draw, range(30, 1540, 34), 1120)
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)


@pytest.mark.parametrize("degrees", [-3, 2])
def test_slanting_lines_are_never_cut_and_each_is_shown_once(degrees):
    image = slanting(degrees)
    cuts = tiles(1, from_pillow(image))

    assert [cut.shared_above for cut in cuts] == [0] * len(cuts)
    assert all(cut.tile.height <= 560 for cut in cuts)
    assert_shown_once(image, cuts)


@pytest.mark.parametrize("degrees", [0, -3])
def test_columns_with_unaligned_lines_are_cut_separately(degrees):
    image, draw = page(1120, 1584)
    for left, tops in ((60, range(40, 1500, 34)), (600, range(57, 1500, 34))):
        for word, top in product(range(left, left + 450, 50), tops):
            draw.rectangle((word, top, word + 42, top + 18), fill=0)
    image = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)
    cuts = tiles(1, from_pillow(image))

    assert [cut.shared_above for cut in cuts] == [0] * len(cuts)
    assert [cut.row for cut in cuts] == list(range(len(cuts)))
    assert all(cut.tile.width <= 700 for cut in cuts)
    assert_shown_once(image, cuts)


@pytest.mark.parametrize("degrees", [-2, 0])
def test_a_rule_between_columns_does_not_prevent_cutting_them_separately(degrees):
    image, draw = page(1120, 1584)
    for left, tops in ((60, range(40, 1500, 34)), (560, range(57, 1500, 34))):
        for word, top in product(range(left, left + 450, 50), tops):
            draw.rectangle((word, top, word + 42, top + 18), fill=0)
    draw.line((536, 30, 536, 1520), fill=0, width=2)
    image = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)
    cuts = tiles(1, from_pillow(image))

    assert [cut.shared_above for cut in cuts] == [0] * len(cuts)
    assert all(cut.tile.width <= 700 for cut in cuts)


def test_the_slope_of_lines_is_detected_whatever_stands_beside_them():
    image, draw = page(1120, 900)
    chance = random.Random(3)
    for left in (60, 405, 750):
        pitch, first = chance.randint(20, 26), 30 + chance.randrange(20)
        for top in range(first, 870, pitch):
            at = left
            while at < left + 280:
                width = chance.randint(15, 45)
                draw.rectangle((at, top + 4, at + width, top + 12), fill=0)
                draw.rectangle((at, top, at + 2, top + 12), fill=0)
                at += width + 8
    turned = image.rotate(1, Image.Resampling.BICUBIC, fillcolor=255)

    assert slope(letters(from_pillow(turned))) == pytest.approx(-tan(radians(1)), abs=0.002)


def test_noise_does_not_prevent_cuts_between_lines():
    image, draw = page(1120, 1584)
    lines(draw, range(30, 1540, 34), 1120)
    noisy = Image.blend(image, Image.effect_noise(image.size, 60), 0.4)
    cuts = tiles(1, from_pillow(noisy))

    assert len(cuts) == 3
    assert [cut.shared_above for cut in cuts] == [0, 0, 0]


def test_overlapping_tiles_report_how_much_ink_they_share():
    image = Image.effect_noise((1120, 800), 100)
    # The only lines of text are in the 120 pixels of 360 that both tiles have.
    lines(ImageDraw.Draw(image), range(450, 551, 40), 1120)
    upper, lower = tiles(1, from_pillow(image))

    assert lower.shared_above == OVERLAP
    assert upper.share_above == 0
    assert lower.share_above is not None
    assert lower.share_above > 0.6


@pytest.mark.parametrize("degrees", [0, 1.5])
def test_tiles_side_by_side_report_the_levels_of_their_lines(degrees):
    image, draw = page(1900, 1000)
    # A table in which every third row has no right part.
    for number, top in enumerate(range(40, 960, 40)):
        draw.text((60, top), f"Article number {number}", 0, ImageFont.load_default(24))
        if number % 3:
            draw.text((1500, top), f"{number}.50 euros", 0, ImageFont.load_default(24))
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)
    cuts = tiles(1, from_pillow(turned))
    left, right = ([cut for cut in cuts if (cut.tile.left > 0) is side] for side in (False, True))

    levels = [round(line.start / 40) for cut in left for line in cut.lines]
    assert levels == list(range(levels[0], levels[0] + 23))
    beside = [round(line.start / 40) for cut in right for line in cut.lines]
    assert beside == [level for number, level in enumerate(levels) if number % 3]
