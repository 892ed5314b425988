"""Which pages are shown, and which parts of them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.documents.page import (
    OVERLAP,
    STRIP,
    WIDTH,
    PageRangeError,
    cuts,
    selected,
    view,
)
from app.services.geometry import Box, Size

A4 = Size(595, 842)


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        (None, (1, 2, 3, 4, 5)),
        ("3", (3,)),
        ("1-3,5", (1, 2, 3, 5)),
        ("4-", (4, 5)),
        (" 2 - 3 , 2", (2, 3)),
        ("5,1", (1, 5)),
    ],
)
def test_a_range_selects_pages_in_their_order(text, pages):
    assert selected(text, 5) == pages


@pytest.mark.parametrize("text", ["0", "6", "2-6", "3-2", "6-"])
def test_a_range_outside_the_document_is_refused(text):
    with pytest.raises(PageRangeError):
        selected(text, 5)


def test_a_page_is_shown_whole_within_what_the_model_takes():
    (cut,) = cuts(2, A4, "auto")

    assert (cut.page, cut.band) == (2, (0, 1))
    assert cut.width * A4.height / A4.width <= WIDTH


@given(st.integers(100, 2000), st.integers(100, 8000))
def test_strips_cover_the_page_and_share_at_least_the_overlap(width, height):
    strips = list(cuts(0, Size(width, height), "high"))
    tall = WIDTH * height / width

    assert strips[0].band.top == 0
    assert strips[-1].band.bottom == pytest.approx(1)
    for above, below in pairwise(strips):
        assert (above.band.bottom - below.band.top) * tall >= OVERLAP - 1
    if len(strips) > 1:
        assert all((c.band.bottom - c.band.top) * tall <= STRIP + 1 for c in strips)


def test_a_box_on_a_strip_is_placed_on_the_page():
    strips = list(cuts(0, A4, "high"))
    box = view(strips[-1], A4).to_original(Box(0.1, 0.5, 0.2, 1))

    assert box.left == pytest.approx(0.1)
    assert box.bottom == pytest.approx(1)
    assert 0.5 < box.top < 1
