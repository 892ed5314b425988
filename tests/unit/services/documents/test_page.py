"""The selection of pages and of their parts."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.services.documents.page import (
    OVERLAP,
    STRIP,
    WIDTH,
    Cut,
    PageRangeError,
    Span,
    Tile,
    in_tiles,
    selected,
    spans,
    view,
    whole,
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


@pytest.mark.parametrize("text", ["6", "6-", "2-6"])
def test_a_range_beyond_the_last_page_is_refused_with_the_page_count(text):
    with pytest.raises(PageRangeError, match=f"^{text} is out of range: the document has 5 page"):
        selected(text, 5)


def test_a_page_is_shown_whole_within_the_models_size():
    cut = whole(3, A4, WIDTH)

    assert (cut.page, cut.is_whole) == (3, True)
    assert WIDTH - 1 <= max(cut.drawn) <= WIDTH


def test_a_picture_is_not_enlarged():
    assert whole(1, Size(200, 300), 1.0).drawn == Size(200, 300)
    assert in_tiles(Size(200, 300), 1.0) == Size(200, 300)


# The span reaches only the first row of the gap: a cut there cuts through nothing.
@example(568, [559])
@given(st.integers(1, 9000), st.lists(st.integers(0, 9000), max_size=9))
def test_spans_cover_a_side_and_overlap_only_where_nothing_is_blank(total, starts):
    gaps = [Span(start, 9) for start in starts if start + 9 <= total]
    parts = list(spans(total, STRIP, slack=200, gaps=gaps))

    assert parts[0].start == 0
    assert parts[-1].start + parts[-1].length == total
    assert all(0 < part.length <= STRIP for part in parts)
    for above, below in pairwise(parts):
        assert above.start + above.length - below.start == below.shared
        clean = any(gap.start <= below.start < gap.start + gap.length for gap in gaps)
        assert below.shared == (0 if clean else OVERLAP) or clean


def test_a_side_is_cut_in_the_widest_gap_near_the_end_of_a_span():
    gaps = [Span(100, 90), Span(420, 20), Span(480, 6)]

    assert [part.start for part in spans(900, STRIP, slack=200, gaps=gaps)] == [0, 430]


def test_a_box_on_a_tile_is_placed_on_the_page():
    cut = Cut(1, Size(1120, 1584), Tile(560, 792, 560, 396))
    box = view(cut, A4).to_original(Box(0.5, 0.5, 1, 1))

    assert box == pytest.approx((0.75, 0.625, 1, 0.75), abs=1e-9)
