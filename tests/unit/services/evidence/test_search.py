"""Where the words of a picture support a value."""

import pytest

from app.services.evidence.search import Page
from app.services.evidence.text import Match
from tests.support.evidence import page

PAGE = page(
    "Corner Shop Ltd.",
    "Invoice INV-2041 Date: 01.03.2026",
    "Code 00123 Phone 030 555 01 99",
    "Coffee, large 2 3,50 7,00",
    "Mineralwasser 1 1.234,50 €",
    "TOTAL: $1,241.50 (20 %)",
    "CornerShopLoyaltyCard",
)


@pytest.mark.parametrize(
    ("value", "text", "match"),
    [
        ("Corner Shop Ltd.", "Corner Shop Ltd.", Match.EXACT),
        ("corner shop", "Corner Shop", Match.NORMALISED),
        ("Coffee large", "Coffee, large", Match.NORMALISED),
        ("INV-2041", "INV-2041", Match.EXACT),
        ("01.03.2026", "01.03.2026", Match.EXACT),
        ("2026-03-01", "01.03.2026", Match.NORMALISED),
        ("00123", "00123", Match.EXACT),
        (1241.5, "$1,241.50", Match.NORMALISED),
        ("1241.50", "$1,241.50", Match.NORMALISED),
        (1234.5, "1.234,50", Match.NORMALISED),
        (3.5, "3,50", Match.NORMALISED),
        (2, "2", Match.EXACT),
        ("corner shop loyalty card", "CornerShopLoyaltyCard", Match.NORMALISED),
        ("Mineralwaser", "Mineralwasser", Match.APPROXIMATE),
    ],
)
def test_a_value_is_found_as_it_is_written_on_the_page(value, text, match):
    sighting = PAGE.sightings(value)[0]

    assert (sighting.text, sighting.match) == (text, match)


@pytest.mark.parametrize(
    "value", ["Garden Centre", "INV-2042", "2026-03-02", "123", 123.0, 41, 241.5, 7.1, "", " "]
)
def test_a_value_that_is_not_there_is_not_found(value):
    assert PAGE.sightings(value) == []


def test_a_part_of_a_number_is_no_number():
    written = page("Total 42.10 Ref 7/2026 Item A-15")

    assert [written.sightings(value) for value in (42, 10, 15)] == [[], [], []]
    assert written.sightings(42.1)[0].text == "42.10"


def test_words_of_two_lines_are_one_value():
    (sighting,) = page("12 High Street", "London").sightings("12 High Street, London")

    assert [word.line for word in sighting.words] == [0, 0, 0, 1]
    assert sighting.match is Match.NORMALISED


def test_a_value_is_found_at_every_place_in_reading_order():
    assert [s.words[0].line for s in page("Tea 1", "Cake 2", "Tea 3").sightings("Tea")] == [0, 2]


def test_a_page_without_words_supports_nothing():
    assert [Page([]).sightings(value) for value in ("Tea", 1, "2026-01-01")] == [[], [], []]
