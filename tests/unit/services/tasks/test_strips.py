"""Strips of a page, joined."""

from app.services.tasks.strips import joined

PAGE = [f"Line number {i} of the page" for i in range(30)]


def test_lines_read_in_two_strips_come_once():
    assert joined([PAGE[:12], PAGE[9:22], PAGE[19:]]) == PAGE


def test_strips_that_share_nothing_are_put_one_after_the_other():
    assert joined([["a", "b"], ["c"]]) == ["a", "b", "c"]


def test_a_line_cut_in_half_at_the_edge_is_taken_from_the_strip_that_has_it_whole():
    above = [*PAGE[:10], "L1ne numbar 1O af tha"]
    below = ["9 0f the pagc", *PAGE[9:20]]

    assert joined([above, below]) == PAGE[:20]


def test_a_line_read_slightly_otherwise_is_still_one_line():
    assert joined([["Total amount due today"], ["Total arnount due today", "Thanks"]]) == [
        "Total amount due today",
        "Thanks",
    ]


def test_lines_with_other_numbers_are_two_lines():
    lines = [["Invoice of March: 10.00"], ["Invoice of March: 12.00"]]

    assert len(joined(lines)) == 2


def test_a_line_that_comes_twice_on_a_page_stays_twice():
    assert joined([["one", "one", "two"], ["three"]]) == ["one", "one", "two", "three"]


def test_an_empty_strip_loses_nothing():
    assert joined([PAGE[:3], [], PAGE[3:5]]) == PAGE[:5]
