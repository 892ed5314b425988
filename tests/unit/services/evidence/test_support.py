"""Readings that support the claims of a result."""

from dataclasses import replace

import pytest

from app.services.evidence.claim import Claim, leaves
from app.services.evidence.mirror import mirrored
from app.services.evidence.support import PageReading, gathered, rendered
from app.services.evidence.text import Match
from app.services.geometry import Box, Size, View
from tests.support.files.ocr_pages import columns, page

VIEW = View(Size(1000, 2000), (0, 0, 1000, 2000))


def reading(number: int, *lines: str, view: View | None = VIEW) -> PageReading:
    return PageReading(number, "images.0", number, view, tuple(page(*lines).words))


def test_a_value_is_located_on_the_page_of_its_claim():
    pages = [reading(1, "Total 5"), reading(2, "Total 5")]
    (evidence,) = gathered([Claim(("total",), 5, frozenset([2]))], pages)
    out = rendered(evidence, [True, True])

    assert (out.page, out.text, out.match, out.source) == (2, "5", Match.EXACT, "ocr_engine")
    assert out.box is not None
    assert (out.box.pixels.left, out.box.pixels.right) == (100, 200)


def test_of_several_matches_the_line_with_the_fields_name_is_chosen():
    lines = reading(1, "Subtotal 5.00", "Total 5.00")
    (evidence,) = gathered([Claim(("fields", "total"), 5)], [lines])

    assert evidence.sighting is not None
    assert evidence.sighting.words[0].line == 1


@pytest.mark.parametrize(
    ("path", "lines", "place"),
    [
        (("invoiceTotal",), ("Net 5.00", "Invoice Total 5.00"), (1, 2)),
        (("invoice_total",), ("Net 5.00", "Invoice Total 5.00"), (1, 2)),
        (("total",), ("Net 5.00 Total 5.00",), (0, 3)),
        (("net",), ("Net 5.00 Total 5.00",), (0, 1)),
        (("seller", "rate"), ("Buyer rate 5.00", "Seller rate 5.00"), (1, 2)),
        (("total",), ("Net Tax Total", "5.00 1.00 5.00"), (1, 2)),
        (("net",), ("Net Tax Total", "5.00 1.00 5.00"), (1, 0)),
        (("total",), ("5.00 Net", "Total Other", "5.00 5.00"), (2, 0)),
    ],
)
def test_a_value_is_located_next_to_its_name(path, lines, place):
    claims = [Claim(("fields", *path), 5.0)]
    (evidence,) = gathered(claims, [reading(1, *lines)])

    assert evidence.sighting is not None
    (word,) = evidence.sighting.words
    assert (word.line, round(word.box.left * 10)) == place


def test_the_values_of_a_list_are_located_in_their_rows_on_a_skewed_page():
    cells = [(f"{kind} tea with milk", "1", "5.00") for kind in ("Green", "Black", "White")]
    # At the prices each line is as high as the line above it is at the names.
    words = [
        replace(word, box=Box(left, top - 0.12 * left, right, bottom - 0.12 * left))
        for word in columns(("Item", "Count", "Price"), *cells).words
        for left, top, right, bottom in [word.box]
    ]
    skewed = PageReading(1, "images.0", 1, VIEW, tuple(words))
    items = [{"item": name, "count": 1, "price": 5.0} for name, _, _ in cells]
    found = gathered([Claim(path, value) for path, value in leaves({"items": items})], [skewed])

    assert [one.sighting and one.sighting.words[0].line for one in found] == [
        10 * row - column for row in (1, 2, 3) for column in range(3)
    ]


def test_a_value_is_located_in_the_row_of_its_name_across_columns():
    table = columns(("Net", "5.00"), ("Total", "5.00"))
    read = PageReading(1, "images.0", 1, VIEW, tuple(table.words))
    (evidence,) = gathered([Claim(("fields", "total"), 5.0)], [read])

    assert evidence.sighting is not None
    assert round(evidence.sighting.words[0].box.top * 20) == 1


def test_an_answer_is_located_at_its_quote():
    lines = reading(1, "Subtotal 5.00", "Due 5.00", "Paid 5.00")
    (evidence,) = gathered([Claim(("answer",), "5.00", quote="Due 5.00")], [lines])

    assert evidence.sighting is not None
    assert evidence.sighting.words[0].line == 1


def test_a_whole_line_is_not_matched_within_a_longer_one():
    claims = [
        Claim(("lines", place, "text"), text, whole_line=True)
        for place, text in enumerate(("Total 5.00", "Total"))
    ]
    read = gathered(claims[::-1], [reading(1, "Total 5.00", "Total")])

    assert [one.sighting.words[0].line for one in read if one.sighting] == [1, 0]


def test_values_of_one_list_item_are_located_beside_each_other():
    lines = reading(1, "Tea 1 2.50", "Cake 1 2.50", "Tea 1 2.50")
    items = [{"name": name, "count": 1, "price": 2.5} for name in ("Tea", "Cake", "Tea")]
    claims = [Claim(path, value) for path, value in leaves({"items": items})]
    rows = [e.sighting.words[0].line for e in gathered(claims, [lines]) if e.sighting]

    assert rows == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_number_is_located_in_its_row_whatever_its_notation():
    table = reading(1, "Saucer 12 1.00 12.00", "Delivery 1 12.00 9.00")
    items = [{"name": "Saucer", "quantity": 12}, {"name": "Delivery", "price": 12}]
    claims = [Claim(path, value) for path, value in leaves(items, ("items",))]

    places = [one.sighting.text for one in gathered(claims, [table]) if one.sighting]

    assert places == ["Saucer", "12", "Delivery", "12.00"]


def test_equal_values_of_an_item_are_located_in_the_columns_of_their_names():
    lines = reading(1, "Item Price Total", "Tea 2.50 2.50", "Cake 3.00 3.00")
    items = [{"total": 2.5, "price": 2.5, "item": "Tea"}, {"total": 3, "price": 3, "item": "Cake"}]
    claims = [Claim(path, value) for path, value in leaves({"items": items})]
    words = [e.sighting.words[0] for e in gathered(claims, [lines]) if e.sighting]

    assert [(word.line, round(word.box.left * 10)) for word in words] == [
        (1, 2), (1, 1), (1, 0), (2, 2), (2, 1), (2, 0),
    ]  # fmt: skip


def test_equal_lines_are_located_separately():
    claims = [Claim(("lines", place, "text"), "Tea") for place in range(3)]
    rows = [
        e.sighting.words[0].line
        for e in gathered(claims, [reading(1, "Tea", "Tea", "Tea")])
        if e.sighting
    ]

    assert rows == [0, 1, 2]


def test_an_unsupported_value_is_marked():
    (evidence,) = gathered([Claim(("total",), 9)], [reading(1, "Total 5")])
    out = rendered(evidence, [True, False])

    assert (out.match, out.source, out.box, out.page) == (Match.NONE, None, None, None)
    assert (out.confidence, out.confidence_basis) == (0.5, "agreement")


def test_a_quote_supports_a_value_when_no_page_was_read():
    (evidence,) = gathered([Claim(("answer",), "42.10", quote="Total: 42.10")], [])
    out = rendered(evidence, [True])

    assert (out.match, out.source, out.text) == (Match.EXACT, "quote", "Total: 42.10")
    assert (out.confidence, out.confidence_basis) == (None, None)


def test_log_probabilities_give_the_confidence_where_known():
    (evidence,) = gathered([Claim(("answer",), "5", probability=0.91)], [reading(1, "Total 5")])
    out = rendered(evidence, [True, True])

    assert (out.confidence, out.confidence_basis) == (0.91, "logprobs")


def test_a_picture_not_shown_alone_has_no_boxes():
    (evidence,) = gathered([Claim(("total",), 5)], [reading(1, "Total 5", view=None)])

    assert rendered(evidence, [True, True]).box is None


def test_evidence_mirrors_the_structure_of_the_result():
    leaf = {"match": "none"}
    paths = [("fields", "items", 1, "price"), ("fields", "total"), ("table", "rows", 0, 2)]

    assert mirrored((path, leaf) for path in paths) == {
        "fields": {"items": [None, {"price": leaf}], "total": leaf},
        "table": {"rows": [[None, None, leaf]]},
    }


def test_only_strings_and_numbers_are_claims():
    value = {"a": "x", "b": None, "c": True, "d": [1, {"e": 2.5}], "f": ""}

    assert list(leaves(value)) == [(("a",), "x"), (("d", 0), 1), (("d", 1, "e"), 2.5)]
