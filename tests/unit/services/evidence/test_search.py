# ruff: noqa: RUF001 - full-width digits are what this is about
"""The search for words of a picture that support a value."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from app.services.evidence import lines
from app.services.evidence.amounts import Amount
from app.services.evidence.dates import Day, dates
from app.services.evidence.letters import CUBES, LOOKS, STEPS, Letters
from app.services.evidence.search import Page
from app.services.evidence.text import Match
from app.services.evidence.words import Word
from app.services.geometry import Box
from tests.support.files.ocr_pages import columns, page

PAGE = page(
    "Corner Shop Ltd.",
    "Invoice INV-2041 Date: 01.03.2026",
    "Code 00123 Phone 030 555 01 99",
    "Coffee, large 2 3,50 7,00",
    "Mineralwasser 1 1.234,50 €",
    "TOTAL: $1,241.50 (20 %)",
    "CornerShopLoyaltyCard",
    "Tιμολóγιo",
    "Aθńνα, Eλλáδα",
    "ΜΕΤΡΗΤΑ",
    "Kυrie",
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
        ("Mineralwaßer", "Mineralwasser", Match.NORMALISED),
        ("Mineralwasesr", "Mineralwasser", Match.APPROXIMATE),
        ("Códe", "Code", Match.APPROXIMATE),
        ("Τιμολόγιο", "Tιμολóγιo", Match.APPROXIMATE),
        ("Αθήνα, Ελλάδα", "Aθńνα, Eλλáδα", Match.APPROXIMATE),
        ("Μετρητά", "ΜΕΤΡΗΤΑ", Match.APPROXIMATE),
        ("Kurie", "Kυrie", Match.APPROXIMATE),
    ],
)
def test_a_value_is_found_as_written_on_the_page(value, text, match):
    sighting = PAGE.sightings(value)[0]

    assert (sighting.text, sighting.match) == (text, match)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("1,234.50", "Total 1234.50"),
        ("1234.50", "Total 1,234.50"),
        ("USD 1,234.50", "Total $1,234.50"),
        ("€1.234,50", "1,234.50 EUR"),
        ("$ 5", "5 $"),
        (1234.5, "1 234,50"),
        (1234.5, "1\u202f234,50"),
        (123456, "Rs. 1,23,456.00"),
        (-5, "(5.00)"),
        (-5, "5.00-"),
        (-5, "Credit -5.00"),
        (-5, "–5.00"),
        (5, "Item - 5"),
        (1200, "$1.2k"),
        (1200000, "USD 1.2M"),
        (2500000, "2,5 Mio. €"),
        ("$1,200", "$1.2k"),
        ("3 million", "3,000,000 people"),
        (2500000000, "2.5 billion"),
        (1500, "1.5E+03"),
        (0.25, "1/4 cup"),
        (1.5, "1 1/2 cups"),
        (0.5, "$.50"),
        (21, "the 21st item"),
        (1.08345, "Rate 1.08345"),
        ("48.8566, 2.3522", "at 48.8566, 2.3522"),
        (1000000, "1百万"),
        (25000, "計2.5万円"),
        (100000, "Rs. 1 lakh"),
        (2500000000, "2,5 млрд"),
        (1200000000000, "1.2 trillion"),
        (6.02e23, "6.02×10²³"),
        (1.5e-7, "1.5 x 10⁻⁷ m"),
        (100000, "10⁵"),
        ("10⁵ cells", "10⁵ cells"),
        ("5 m²", "5 m2"),
        ("1/3 cup", "⅓ cup"),
        (-0.125, "(12.5)%"),
        (1500, "1,500.00 CR"),
        (5, "5 Bio Eier"),
        ("2024-12-31", "2024년 12월 31일"),
        ("2019-05-01", "令和元年5月1日"),
        ("2024-12-31", "令和6年12月31日"),
        ("2024-12-31", "民國113年12月31日"),
        ("2024-12-31", "31/12/2567"),
        ("2024-12-31", "31.XII.2024"),
        ("2024-12-31", "31 Aralık 2024"),
        ("2024-12-31", "31. prosince 2024"),
        ("2024-12-31", "2024. december 31."),
        ("2024-11-05", "5. marraskuuta 2024"),
        ("2024-07-05", "5. července 2024"),
        ("2024-05-01", "1º de maio de 2024"),
        ("2024-12-31", "31 tháng 12 năm 2024"),
        ("14:30", "下午2:30"),
        ("14:30", "午後2時30分"),
        ("14:30", "오후 2시 30분"),
        ("+49 (0)30 123456", "+49 (0) 30 12 34 56"),
        ("030 123456", "030 12 34 56"),
        ("5-10", "5 – 10"),
        ("p < 0.05", "p < 0.05"),
        ("≤ 5", "≤5"),
        ("不合格", "判定 不合格"),
        ("not yet available", "not yet available"),
        ("5 kg", "Weight 5,00 kg"),
        ("0.5 l", "0,50 l"),
        ("1,500 km", "1 500 km"),
        ("5 kB", "5 KB"),
        ("DE89 3704 0044 0532 0130 00", "IBAN DE89 3704 0044 0532 0130 00 12"),
        ("4111 1111 1111 1111", "Card 4111 1111 1111 1111 12/28"),
        ("12345678", "12345678 87654321"),
        (0.19, "VAT 19 %"),
        ("19%", "19 %"),
        (0.5, "½"),
        (1.5, "1½ cups"),
        (350, "2 350.00"),
        (2350, "2 350.00"),
        (5, "5kg"),
        (5, "No.5"),
        (42, "USD42"),
        (20, "(20 %)"),
        (12345, "１２３４５"),
        ("1,234.50", "￥１，２３４．５０"),
        (42, "٤٢"),
        (1234, "合計1,234円です"),
        (42.1, "42.10EUR"),
        (1234.5, "١٬٢٣٤٫٥"),
        ("مـــرحبا", "مرحبا"),
        ("2024-03-05", "Mar-05-2024"),
        ("2024-03-05", "05MAR2024"),
        ("2024-03-05", "5 items 05 March 2024"),
        ("5 March 2024", "2024-03-05"),
        ("2024-03-05", "March 5th, 2024"),
        ("2024-03-05", "05-MAR-2024"),
        ("2024-03-05", "5. März 2024"),
        ("2024-03-05", "5 de marzo de 2024"),
        ("2024-03-05", "2024年3月5日"),
        ("2024-03-05", "20240305"),
        ("05/03/2024", "2024-03-05"),
        ("2024-03-05T12:30:00", "5 March 2024 12:30"),
        ("2024-03", "March 2024"),
        ("03/2024", "Mar. 2024"),
        ("März 2024", "2024-03"),
        ("2024-03", "2024年3月"),
        ("2024-03", "issued 5 March 2024"),
        ("5 March", "March 5th"),
        ("March 5", "5. März 2024"),
        ("1965-12-31", "31.12.65"),
        ("2024-03-05", "2024-Mar-05"),
        ("2024-03-05", "5 Μαρτίου 2024"),
        ("2024-03-05", "5 марта 2024"),
        ("2024-04-03", "03/04/2024"),
        ("office", "our oﬃce"),
        ("résumé", "re\u0301sume\u0301"),
        ("STRASSE", "Straße"),
        ("Müller", "MUELLER"),
        ("Joerg Moeller", "Jörg Möller"),
        ("Ærø", "Aeroe"),
        ("Not approved", "Not approved"),
        ("non-smoker", "non smoker"),
        ("A+", "Grade A+"),
        ("Radio", "Radio+TV"),
        ("Seite", "Seite-"),
        ("5 x 10 cm", "5 × 10 cm"),
        ("INV-2041", "Invoice No INV-2041"),
        ("5 kg", "5 kg/10 lb"),
        ("https://shop.com/a-b/", "see https://shop.com/a-b"),
        ("東京都", "東京都千代田区"),
        ("Tom & Jerry", "Tom & Jerry"),
        ("42,10 €", "42,10 €"),
        ("✓", "✓ paid"),
        ("ABC 123", "ABC123"),
        ("DE89 3704 0044", "DE8937040044"),
        ("Phone 030 555-0199", "Phone 0305550199"),
        ("Total: 1,234.50 €", "Total: 1.234,50 €"),
        ("Date: 01.03.2026", "Date: 01/03/2026"),
        ("At 10:30", "At 10.30"),
        ("At -5 °C", "At −5°C"),
        ("Rs. 1,23,456.00 paid", "Rs. 123456.00 paid"),
        ("pay within 30 days", "pleasepaywithin 30 days"),
        ("Invoice Total", "InvoiceTotal:42.10"),
        ("14:30", "2:30 PM"),
        ("14:30", "2.30 pm"),
        ("14:30", "14h30"),
        ("14:30", "14.30 Uhr"),
        ("2:30 PM", "14:30"),
        ("14:30:00", "Open 14:30-18:00"),
        ("14:30", "at 14:30:15"),
        ("2 pm", "14:00"),
        ("anna_m@shop.com", "anna_m@shop.com"),
        ("ORDER_2041", "Order 2041"),
        ("हिन्दी", "भाषा हिन्दी है"),
        ("ภาษาไทย", "เรียนภาษาไทย"),
        ("EUR", "Total 42,10 €"),
        ("USD", "Total $42.10"),
        ("EUR", "all prices in €"),
        ("€", "Total 42.10 EUR"),
        (4111111111111111, "Card 4111 1111 1111 1111"),
        ("+49301234567", "+49 30 1234567"),
        ("030/1234567", "030 1234567"),
        ("555.123.4567", "(555) 123-4567"),
        ("+1 555 123 4567", "+1 (555) 123-4567"),
        ("4111111111111111", "4111-1111-1111-1111"),
        ("2024-03-05T14:30:00Z", "5 March 2024, 2:30 p.m."),
        ("01.03.2026", "01.03.2026-05.03.2026"),
    ],
)
def test_a_value_is_found_in_any_notation(value, line):
    sightings = page(line).sightings(value)

    assert [one.match in (Match.EXACT, Match.NORMALISED) for one in sightings] == [True]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("€ 1,234.50", "Total $1,234.50"),
        (5, "(5.00)"),
        (5, "Credit -5.00"),
        (5, "5.00-"),
        (30, "12:30"),
        (12, "A12"),
        (10, "5-10"),
        ("INV-200", "INV-2001"),
        ("Smith", "Smithson"),
        ("1 1", "11"),
        ("2024-03-06", "5 March 2024"),
        ("2024-03-05", "105MAR2024"),
        ("2024-03", "March 2023"),
        ("2024-03", "May 2024"),
        ("2024-03", "March"),
        ("2024-03-05", "March 2024"),
        ("2024-03-05", "5 March"),
        ("March 5", "March 15"),
        ("2024-03", "INV-2024-03"),
        ("2026-01-03", "01.03.2026"),
        ("2024-03-05", "Feb 30, 2024"),
        (3, "2024年3月5日"),
        (42.1, "42.10kremes"),
        ("2024-03-05T12:30:00", "5 March 2024 12:45"),
        ("Total 42", "Total 42.10"),
        ("Total: 12.34", "Total: 1234"),
        ("Total 1 234", "Total 1 234,50"),
        ("Item 2.50", "Item 2 50"),
        ("3/5 done", "35 done"),
        ("5 apples", "1.5 apples"),
        ("10 apples", "5-10 apples"),
        ("Total: €42.10", "Total: $42.10"),
        ("At -5 °C", "At 5 °C"),
        ("version 1.2", "version 1.2.3"),
        ("INV-2041", "INV-2041-2"),
        ("INV-2041", "INV-2041A"),
        ("Ref A-12", "Ref A-1 2"),
        ("anna@shop.com", "hanna@shop.com"),
        ("Anna Maier Schulz", "Hanna Maier Schulz"),
        ("Anna Maier Schulz", "Anna Maier Schulzberg"),
        ("happy with the result", "unhappy with the result"),
        ("John Smith", "Smith John"),
        ("John Smith", "Joan Smith"),
        ("Not approved", "approved"),
        ("approved", "is not approved"),
        ("A+", "A-"),
        ("A", "Grade A+"),
        ("C++", "C#"),
        ("allergic", "non-allergic"),
        ("approved", "isn't approved"),
        ("available", "not yet available"),
        ("gültig", "nicht mehr gültig"),
        ("оплачено", "не оплачено"),
        ("合格", "不合格"),
        ("付款", "状态 未付款"),
        ("公開", "非公開"),
        ("A", "Grade A-"),
        ("O-", "O"),
        ("typical", "atypical"),
        ("never late", "ever late"),
        ("methanol", "ethanol"),
        ("fällig", "nicht fällig"),
        ("5 km", "5 km/h"),
        ("https://shop.com/a-b", "https://shop.com/ab"),
        ("The payment is due", "The payment is not due"),
        ("Left kidney is normal", "Right kidney is normal"),
        ("hypertension", "hypotension"),
        ("Due on 5 March 2024", "Due on 5 May 2024"),
        ("Jun 5, 2024", "Jul 5, 2024"),
        ("10:30 PM", "10:30 AM"),
        ("02:30", "2:30 PM"),
        ("14:30:15", "14:30:45"),
        ("12:30", "112:30"),
        ("Street A", "Street B"),
        ("हिन्दी", "हन्दा"),
        ("नमक", "नमकीन"),
        ("EUR", "Total $42.10"),
        ("USD", "Total 42,10 €"),
        (411111111111, "Card 4111 1111 1111 1111"),
        (12345, "123 45"),
        (1.2, "$1.2k"),
        (3, "3 million people"),
        (3, "3万人"),
        (3, "3억"),
        (3, "3 crore"),
        (3, "3 млн"),
        (3, "3 trillion"),
        (123, "123万4567"),
        (1230000, "123万4567"),
        (6.02, "6.02×10²³"),
        (105, "10⁵"),
        (10, "10⁵"),
        ("10⁵", "105"),
        (422, "42²"),
        ("2³", "23"),
        (1, "⅓ cup"),
        ("2⅓", "21/3"),
        (0.125, "(12.5)%"),
        ("2024-03-05", "5. marraskuuta 2024"),
        ("2024-06-05", "5. července 2024"),
        ("2024-12-31", "昭和6年12月31日"),
        ("02:30", "下午2:30"),
        ("5-10", "5 10"),
        ("<5", ">5"),
        ("≤ 5", "5"),
        ("p < 0.05", "p > 0.05"),
        ("5 kg", "5.0 lb"),
        ("5 kg", "5.5 kg"),
        ("5 m", "5.0 mm"),
        ("5 m", "5.0 m²"),
        ("5 km", "5.0 km/h"),
        ("5 mW", "5 MW"),
        ("5 MB", "5 Mb"),
        ("DE8937040044", "DE89 3704 0044 0532 0130 00"),
        ("DE89 3704 0044 0532 0130", "DE89 3704 0044 0532 0130 00"),
        ("4111 1111 1111", "4111 1111 1111 1111"),
        ("1111 1111 1111", "4111 1111 1111 1111"),
        (5000000, "5 m"),
        (5, "–5.00"),
        (1, "Page 1/2"),
        (0.5, "21/2"),
        (0.25, "1/4/2024"),
        (5, ".5"),
        ("555-123-4567", "555 123 4568"),
        ("3/5 done", "3 5 done"),
    ],
)
def test_a_different_value_is_not_a_match(value, line):
    assert page(line).sightings(value) == []


@pytest.mark.parametrize(
    ("value", "text", "match"),
    [
        ("information about it", "infor- mation about it", Match.NORMALISED),
        ("2024-03-05", "5 March 2024", Match.NORMALISED),
        ("Jean-Pierre", "Jean- Pierre", Match.EXACT),
        ("some infor-mation abuot it", "some infor- mation about it", Match.APPROXIMATE),
    ],
)
def test_a_value_is_found_across_a_line_break(value, text, match):
    (sighting,) = page(
        "some infor-", "mation about it", "Jean-", "Pierre", "5 March", "2024"
    ).sightings(value)

    assert (sighting.text, sighting.match) == (text, match)
    assert len({word.line for word in sighting.words}) == 2


def test_the_reported_text_is_the_text_on_the_page():
    assert page("Total １２３").sightings(123)[0].text == "１２３"
    assert page("Total 42.10 EUR").sightings(42.1)[0].text == "42.10"
    assert page("Total 42.10 EUR").sightings("42.10 EUR")[0].match is Match.EXACT


@pytest.mark.parametrize(
    "value", ["Garden Centre", "INV-2042", "2026-03-02", "123", 123.0, 41, 241.5, 7.1, "", " "]
)
def test_a_missing_value_is_not_found(value):
    assert PAGE.sightings(value) == []


def test_a_part_of_a_number_is_not_a_match():
    written = page("Total 42.10 Ref 7/2026 Item A-15")

    assert [written.sightings(value) for value in (42, 10, 15)] == [[], [], []]
    assert written.sightings(42.1)[0].text == "42.10"


def test_words_on_two_lines_can_be_one_value():
    (sighting,) = page("12 High Street", "London").sightings("12 High Street, London")

    assert [word.line for word in sighting.words] == [0, 0, 0, 1]
    assert sighting.match is Match.NORMALISED


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("Green Tea 1.00", Match.EXACT),
        ("Carrot Cake 2.00", Match.EXACT),
        ("Carrot Cake 1.00", Match.NONE),
        ("Carrot Fake 2.00", Match.NONE),
        ("Carrott Cake 2.00", Match.APPROXIMATE),
    ],
)
def test_a_row_over_several_columns_can_be_one_value(value, match):
    table = columns(("Green Tea", "1.00"), ("Carrot Cake", "2.00"))

    assert [one.match for one in table.sightings(value)] == [match] * (match != Match.NONE)


def test_a_value_is_found_at_every_place_in_reading_order():
    assert [s.words[0].line for s in page("Tea 1", "Cake 2", "Tea 3").sightings("Tea")] == [0, 2]


def test_a_page_without_words_supports_nothing():
    assert [Page([]).sightings(value) for value in ("Tea", 1, "2026-01-01")] == [[], [], []]


def test_a_page_and_a_value_that_repeat_one_word_take_bounded_steps():
    sightings = page(*["a " * 100] * 30).sightings("a " * 200)

    assert 0 < sum(len(one.words) for one in sightings) <= STEPS


def test_a_page_and_a_value_that_repeat_one_letter_take_bounded_comparisons():
    looks: list[int] = []

    class Text(str):
        __slots__ = ()

        def find(self, sought: str, *places: int) -> int:  # type: ignore[override]
            looks.append(len(sought))
            return super().find(sought, *places)

    letters = Letters.of_words(page(*["aaaaaaaa " * 100] * 10).words)
    counted = replace(letters, text=Text(letters.text))

    assert list(counted.spelled("a" * 801)) == []
    assert sum(looks) <= LOOKS + 2 * 801


def test_a_number_is_compared_only_with_possible_matches(monkeypatch):
    compared: list[Amount] = []
    same = Amount.same

    def counted(self: Amount, other: Amount) -> bool:
        compared.append(self)
        return same(self, other)

    monkeypatch.setattr(Amount, "same", counted)
    ledger = page(*[f"{n}.25" for n in range(200)])

    for n in range(200):
        assert len(ledger.sightings(f"{n}.25")) == 1
    assert len(compared) <= 2 * 200


def test_misread_values_are_searched_for_in_bounded_steps(monkeypatch):
    looked: list[str] = []
    most_alike = Letters._most_alike

    def counted(self: Letters, sought: str, parts: Sequence[str]) -> tuple[int, int] | None:
        looked.append(sought)
        return most_alike(self, sought, parts)

    monkeypatch.setattr(Letters, "_most_alike", counted)
    letters = Letters.of_words(page("nothing of the kind").words)

    for n in range(10):
        for _ in range(2):
            letters.misread(f"{n}" + "x" * 499)

    assert sum(len(sought) ** 3 for sought in looked) <= CUBES
    assert len(looked) == len(set(looked)) == 2


def test_unambiguous_dates_decide_the_order_of_day_and_month_of_others():
    american = page("Due 03/25/2024", "Issued 03/04/2024")

    assert american.sightings("2024-04-03") == []
    assert [one.text for one in american.sightings("2024-03-04")] == ["03/04/2024"]
    assert len(page("25/03/2024 03/25/2024 03/04/2024").sightings("2024-04-03")) == 1


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("Monday, March 4, 2024", 1),
        ("Mon. 4 March 2024", 1),
        ("Mo, 04.03.2024", 1),
        ("lunes, 4 de marzo de 2024", 1),
        ("Tuesday, March 4, 2024", 0),
        ("Invoice 4 March 2024", 0),
    ],
)
def test_a_date_with_its_day_of_the_week_is_supported_by_the_date(value, count):
    assert len(page("Date 2024-03-04").sightings(value)) == count


def test_a_page_is_scanned_for_dates_once(monkeypatch):
    read: list[str] = []

    def counted(text: str, **order: bool | None) -> Iterator[tuple[int, int, Day]]:
        read.append(text)
        return dates(text, **order)

    monkeypatch.setattr(lines, "dates", counted)
    diary = page(*[f"{day:02}.03.2026" for day in range(1, 32)])

    for day in range(1, 32):
        assert len(diary.sightings(f"2026-03-{day:02}")) == 1
    # Each line, and each pair of neighbouring lines.
    assert len(read) <= 31 + 30


def test_a_negating_sign_that_was_read_by_itself_belongs_to_the_word_after_it():
    def signs(*words: tuple[str, bool]) -> Page:
        boxes = (Box(place / 10, 0, (place + 1) / 10, 1) for place in range(9))
        return Page(
            [
                Word(text, box, spaced=spaced)
                for (text, spaced), box in zip(words, boxes, strict=False)
            ]
        )

    assert signs(("不", False), ("合", False), ("格", False)).sightings("合格") == []
    assert len(signs(("無", False), ("合", True), ("格", False)).sightings("合格")) == 1
