"""Joining the lines of a page's tiles."""

import pytest

from app.services.geometry import Box
from app.services.tasks.strips import Strip, beside, joined, spliced

PAGE = [f"Line number {i} of the page" for i in range(30)]


def test_lines_read_in_two_strips_occur_once():
    strips = [Strip(PAGE[:12]), Strip(PAGE[9:22], 0.25), Strip(PAGE[19:], 0.25)]

    assert joined(strips) == PAGE


def test_strips_without_common_lines_are_concatenated():
    assert joined([Strip(["a", "b"]), Strip(["c"], 0.2)]) == ["a", "b", "c"]


def test_strips_without_overlap_are_not_compared():
    assert joined([Strip(["Total: 1", "Thanks"]), Strip(["Thanks"])]) == [
        "Total: 1",
        "Thanks",
        "Thanks",
    ]


def test_the_only_line_of_two_overlapping_strips_occurs_once():
    assert joined([Strip(["Secret code: ZX-4471"]), Strip(["Secret code: ZX-4471"], 0.2)]) == [
        "Secret code: ZX-4471"
    ]


def test_a_line_cut_at_an_edge_is_taken_from_the_strip_that_shows_it_whole():
    above = [*PAGE[:10], "L1ne numbar 1O af tha"]
    below = ["9 0f the pagc", *PAGE[9:20]]

    assert joined([Strip(above), Strip(below, 0.2)]) == PAGE[:20]


def test_a_repetitive_text_loses_no_lines():
    verse = ["the first line of it", "the second line of it", "the third line of it"]
    page = verse * 8

    assert joined([Strip(page[:14]), Strip(page[10:], 4 / 14)]) == page


@pytest.mark.parametrize("shared", [1, 2, 3, 4])
def test_equal_lines_keep_their_number(shared):
    strips = [Strip(["- - - -"] * 13), Strip(["- - - -"] * 13, shared / 13)]

    assert len(joined(strips)) == 26 - shared


def test_equal_lines_keep_their_number_with_the_outermost_cut_in_half():
    line = "Coffee with milk 2.50"
    above = [*[line] * 12, "Coffcc w1th mi1k"]
    below = ["ffee wlth mllk 2 5", *[line] * 12]

    # 120 of 560 pixels contain two whole lines, and half of one at either end.
    assert joined([Strip(above), Strip(below, 120 / 560)]) == [line] * 22


def test_a_slightly_differently_read_line_is_one_line():
    strips = [Strip(["Total amount due today"]), Strip(["Total arnount due today", "Thanks"], 0.5)]

    assert joined(strips) == ["Total amount due today", "Thanks"]


def test_one_misread_line_doubles_nothing():
    below = [PAGE[9], "205 Sweet &Sour Pork Ribs", PAGE[11], *PAGE[12:20]]

    assert joined([Strip(PAGE[:12]), Strip(below, 0.25)]) == PAGE[:20]


def test_lines_with_different_numbers_are_two_lines():
    strips = [Strip(["Invoice of March: 10.00"]), Strip(["Invoice of March: 12.00"], 0.5)]

    assert len(joined(strips)) == 2


def test_a_line_that_occurs_twice_on_a_page_stays_twice():
    strips = [Strip(["one", "one", "two"]), Strip(["three"], 0.2)]

    assert joined(strips) == ["one", "one", "two", "three"]


def test_an_empty_strip_loses_nothing():
    strips = [Strip(PAGE[:3]), Strip([], 0.2), Strip(PAGE[3:5], 0.2)]

    assert joined(strips) == PAGE[:5]


def test_known_boxes_distinguish_equal_lines():
    line = {n: ("equal", Box(0.1, n / 20, 0.9, (n + 0.8) / 20)) for n in range(20)}
    strips = [
        Strip([line[n] for n in range(12)], 0, 0, 0.6),
        Strip([line[n] for n in range(10, 20)], 0.2, 0.5, 1),
    ]

    result = joined(strips, key=lambda item: item[0], place=lambda item: item[1])
    assert result == list(line.values())


def test_of_a_line_read_twice_the_whole_reading_is_kept():
    place = Box(0.1, 0.57, 0.9, 0.6)
    cut, whole = ("h a l f", place), ("half a line", Box(0.1, 0.57, 0.9, 0.62))
    strips = [Strip([cut], 0, 0, 0.6), Strip([whole], 0.2, 0.5, 1)]

    result = joined(strips, key=lambda item: item[0], place=lambda item: item[1])
    assert result == [whole]


def side_by_side(left: list[str], right: list[str], *, common: int, gap: int = 0) -> list[str]:
    return beside(left, right, common=common, gap=gap, key=str, splice=lambda _, __, text: text)


def test_a_line_in_two_parts_is_joined():
    assert spliced("The quick brown f", "rown fox jumps", common=6) == "The quick brown fox jumps"
    assert spliced("The quick", "brown fox", common=0) == "The quick brown fox"


def test_the_parts_of_a_line_are_joined_at_the_expected_overlap():
    left, right = "word18 word19 word20 word21 wo", "21 word22 word23 word24"

    assert spliced(left[:-3], right, common=2) == "word18 word19 word20 word21 word22 word23 word24"
    assert spliced("same same same", "same same", common=9) == "same same same"
    assert spliced("same same same", "same same", common=4) == "same same same same"


def test_parts_on_one_level_are_joined_although_other_lines_have_no_second_part():
    left = [("Coffee", (0.0, 20.0)), ("Tea", (40.0, 60.0)), ("Cake", (80.0, 100.0))]
    right = [("2.50", (42.0, 60.0)), ("4.10", (81.0, 99.0)), ("Sum 6.60", (120.0, 140.0))]
    result = beside(
        left,
        right,
        common=0,
        gap=90,
        key=lambda line: line[0],
        splice=lambda one, _, text: (text, one[1]),
        level=lambda line: line[1],
    )

    assert [text for text, _ in result] == ["Coffee", "Tea 2.50", "Cake 4.10", "Sum 6.60"]


def test_tiles_side_by_side_give_whole_lines():
    left, right = ["Coffee and a c", "Tea, a pot o", "Sum"], ["and a cake 3.00", "pot of it 2.50"]

    assert side_by_side(left[:2], right, common=6) == [
        "Coffee and a cake 3.00",
        "Tea, a pot of it 2.50",
    ]
    assert side_by_side(left, ["pot of it 2.50"], common=6) == [
        "Coffee and a c",
        "Tea, a pot of it 2.50",
        "Sum",
    ]
    assert side_by_side(["Coffee", "Tea"], ["3.00", "2.50"], common=0, gap=90) == [
        "Coffee 3.00",
        "Tea 2.50",
    ]


def test_columns_of_running_text_stay_in_sequence():
    left = ["a first column's line, which is long", "another first column's line, long"]
    right = ["a second column's line, which is long", "another second column's line, long"]

    assert side_by_side(left, right, common=0, gap=60) == [*left, *right]


def test_lines_cut_by_a_slanting_edge_are_taken_from_the_strip_that_shows_them_whole():
    lines = [f"line {letter * 6} of a page that slants" for letter in "abcdefghij"]
    # A slanting edge cuts the ends of the last lines above and the starts of the first below.
    above = [*lines[:5], f"{lines[5][:20]}nnts", f"{lines[6][:14]}iie"]
    below = [f"oie{lines[3][14:]}", *lines[4:]]

    assert joined([Strip(above), Strip(below, shared=4 / len(below))]) == lines
