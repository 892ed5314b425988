import pytest

from app.domain.image import Canvas
from app.services.images.canvas import CANVASES, choose, fit, target


@pytest.mark.parametrize(
    ("size", "canvas"),
    [
        ((100, 100), (1, 1)),
        ((560, 560), (1, 1)),
        ((561, 560), (2, 1)),
        ((640, 480), (2, 1)),
        ((300, 800), (1, 2)),
        ((1024, 768), (2, 2)),
        ((1920, 1080), (2, 2)),
        ((3000, 400), (4, 1)),
        ((400, 3000), (1, 4)),
        ((2000, 1000), (2, 1)),
        ((1600, 500), (3, 1)),
    ],
)
def test_the_canvas_is_the_one_that_llamas_own_processor_chooses(size, canvas):
    assert choose(*size) == Canvas(*canvas)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((1920, 1080), (1120, 630)), ((3000, 400), (2240, 298)), ((1, 5000), (0, 2240))],
)
def test_a_picture_is_fitted_to_its_canvas_as_llamas_own_processor_does(size, fitted):
    width, height = size

    assert fit(width, height, choose(width, height)) == fitted


def test_there_are_eight_canvases_of_at_most_four_tiles():
    assert len(set(CANVASES)) == 8
    assert max(canvas.tiles for canvas in CANVASES) == 4


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4032, 3024), (1120, 840)),
        ((1920, 1080), (1120, 630)),
        ((3000, 400), (1120, 149)),
        ((1120, 1120), (1120, 1120)),
        ((1121, 1120), (1120, 1119)),
        ((30, 20), (30, 20)),
        ((1120, 1), (1120, 1)),
        ((5000, 1), (1120, 0)),
    ],
)
def test_the_target_is_the_canvas_size_capped_and_never_enlarged(size, expected):
    width, height = size

    assert target(width, height, 1120) == expected


def test_without_the_cap_a_strip_keeps_the_length_that_its_canvas_allows():
    assert target(3000, 400, 2240) == (2240, 298)
    assert target(2000, 600, 2240) == (1866, 560)
