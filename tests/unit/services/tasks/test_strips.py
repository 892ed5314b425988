"""Strips of a page, joined."""

from app.services.tasks.strips import Strip, joined

PAGE = [f"Line number {i} of the page" for i in range(30)]


def test_lines_read_in_two_strips_come_once():
    strips = [Strip(PAGE[:12]), Strip(PAGE[9:22], 0.25), Strip(PAGE[19:], 0.25)]

    assert joined(strips) == PAGE


def test_strips_that_share_nothing_are_put_one_after_the_other():
    assert joined([Strip(["a", "b"]), Strip(["c"], 0.2)]) == ["a", "b", "c"]


def test_what_does_not_overlap_is_not_compared():
    assert joined([Strip(["Total: 1", "Thanks"]), Strip(["Thanks"])]) == [
        "Total: 1",
        "Thanks",
        "Thanks",
    ]


def test_a_line_cut_in_half_at_the_edge_is_taken_from_the_strip_that_has_it_whole():
    above = [*PAGE[:10], "L1ne numbar 1O af tha"]
    below = ["9 0f the pagc", *PAGE[9:20]]

    assert joined([Strip(above), Strip(below, 0.2)]) == PAGE[:20]


def test_a_text_that_repeats_itself_loses_no_lines():
    verse = ["the first line of it", "the second line of it", "the third line of it"]
    page = verse * 8

    assert joined([Strip(page[:14]), Strip(page[10:], 4 / 14)]) == page


def test_a_line_read_slightly_otherwise_is_still_one_line():
    strips = [Strip(["Total amount due today"]), Strip(["Total arnount due today", "Thanks"], 0.5)]

    assert joined(strips) == ["Total amount due today", "Thanks"]


def test_lines_with_other_numbers_are_two_lines():
    strips = [Strip(["Invoice of March: 10.00"]), Strip(["Invoice of March: 12.00"], 0.5)]

    assert len(joined(strips)) == 2


def test_a_line_that_comes_twice_on_a_page_stays_twice():
    strips = [Strip(["one", "one", "two"]), Strip(["three"], 0.2)]

    assert joined(strips) == ["one", "one", "two", "three"]


def test_an_empty_strip_loses_nothing():
    strips = [Strip(PAGE[:3]), Strip([], 0.2), Strip(PAGE[3:5], 0.2)]

    assert joined(strips) == PAGE[:5]
