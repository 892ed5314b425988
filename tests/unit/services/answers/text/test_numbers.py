"""Numbers in everyday notation, read if unambiguous."""

import pytest

from app.services.answers.text.numbers import (
    Hints,
    NumberError,
    Separator,
    decimal_separator,
    number,
)
from app.services.answers.text.words import boolean

COMMA, POINT = Hints(decimal=Separator.COMMA), Hints(decimal=Separator.POINT)

READ = [
    ("42.10", Hints(), 42.1),
    ("1,234.56", Hints(), 1234.56),
    ("1.234,56", Hints(), 1234.56),
    ("73,2", Hints(), 73.2),
    ("1'234.50", Hints(), 1234.5),
    ("1 234,56", Hints(), 1234.56),
    ("1,23,456.78", Hints(), 123456.78),
    ("1.234.567", Hints(), 1234567),
    ("$58.62", Hints(), 58.62),
    ("12,50 €", Hints(), 12.5),
    ("CHF 12.50", Hints(), 12.5),
    ("-$5.00", Hints(), -5),
    ("(1,234.56)", Hints(), -1234.56),
    ("€ 1.234,50-", Hints(), -1234.5),
    ("3 kg", Hints(), 3),
    ("two", Hints(), 2),
    ("zwölf", Hints(), 12),
    ("½", Hints(), 0.5),
    ("1 1/2", Hints(), 1.5),
    ("1,234", POINT, 1234),
    ("1.234", COMMA, 1234),
    ("1,234", Hints(integer=True), 1234),
    ("1.234", Hints(bare=True), 1.234),
    ("12 %", Hints(share=True), 0.12),
    ("12%", Hints(percent=True), 12),
    ("8/10", Hints(share=True), 0.8),
    ("~15", Hints(approximate=True), 15),
    ("9" * 60, Hints(), int("9" * 60)),
    ("१२३", Hints(), 123),
    ("(" + "123456789" * 4 + ")", Hints(), -int("123456789" * 4)),
    ("9007199254740993.0", Hints(integer=True, bare=True), 9007199254740993),
    ("12,345,678,901,234,567.00", Hints(integer=True), 12345678901234567),
]
REFUSED = [
    ("1,234", Hints()),
    ("1.234", Hints()),
    ("1.234", Hints(bare=True, decimal=Separator.COMMA)),
    ("12%", Hints()),
    ("1/3", Hints()),
    ("about 15", Hints()),
    ("42.10 to 50", Hints()),
    ("04/08/2025", Hints()),
    ("1.2.3", Hints()),
    ("12E10", Hints()),
    ("1e999", Hints(bare=True)),
    ("1.5k", Hints()),
    ("", Hints()),
    ("a lot", Hints()),
    ("1" * 5000, Hints()),
]


@pytest.mark.parametrize(("text", "hints", "value"), READ)
def test_a_number_with_a_single_reading_is_read(text, hints, value):
    assert number(text, hints) == value


@pytest.mark.parametrize(("text", "hints"), REFUSED)
def test_an_ambiguous_or_non_numeric_text_is_not_a_number(text, hints):
    with pytest.raises(NumberError):
        number(text, hints)


def test_the_other_numbers_of_a_document_decide_what_a_comma_means():
    assert decimal_separator(["ACME", "73,20 EUR", "1.234"]) is Separator.COMMA
    assert decimal_separator(["$1,234.56", "5"]) is Separator.POINT
    assert decimal_separator(["73,20", "42.10"]) is None


@pytest.mark.parametrize(
    ("text", "truth"), [("Yes", True), ("ja", True), ("☑", True), ("No.", False), ("maybe", None)]
)
def test_the_usual_words_for_yes_and_no_are_recognised(text, truth):
    assert boolean(text) is truth
