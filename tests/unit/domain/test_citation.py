import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.citation import (
    MOST_REMOVED,
    MarkerFilter,
    QuoteMatch,
    Wording,
    denies,
    marked,
    match,
    parts,
    sentences,
    without_markers,
)

SOURCE = "The orchard  sells\ncider at 4.50 a bottle. “Fresh” — every day."


@pytest.mark.parametrize(
    ("quote", "kind"),
    [
        ("at 4.50 a bottle", QuoteMatch.EXACT),
        ("The orchard sells cider", QuoteMatch.WHITESPACE),
        ("the ORCHARD sells", QuoteMatch.FOLDED),
        ('"fresh" - every day', QuoteMatch.FOLDED),
        ("at 5.40 a bottle", None),
        ("cider orchard", None),
        ("  ", None),
    ],
)
def test_a_quote_matches_its_source_exactly_or_after_folding(quote, kind):
    assert match(Wording(quote), Wording(SOURCE)) is kind


@pytest.mark.parametrize(
    ("text", "kept", "removed"),
    [
        ("Cider costs 4.50 [1].", "Cider costs 4.50 [1].", ()),
        ("Cider costs 4.50 [9].", "Cider costs 4.50.", (9,)),
        ("Both say so [1, 2].", "Both say so [1][2].", ()),
        ("Both say so [1; 9].", "Both say so [1].", (9,)),
        ("All do [1-3].", "All do [1][2][3].", ()),
        ("It is so [source_2], [Source 3].", "It is so [2], [3].", ()),
        ("So【1】it is.", "So[1]it is.", ()),
        ("In [2019] or [x] nothing.", "In [2019] or [x] nothing.", ()),
        ("Twice [1][1] and [0].", "Twice [1][1] and.", (0,)),
    ],
)
def test_markers_name_a_source_or_are_removed(text, kept, removed):
    result = marked(text, {1, 2, 3})

    assert (result.text, result.removed) == (kept, removed)


@given(
    st.lists(
        st.sampled_from(
            [
                "[",
                "]",
                "1",
                "9",
                " ",
                "  ",
                "a.",
                ",",
                "source_",
                "[1]",
                " [9]",
                "[1, 2]",
                "\n",
                "-",
            ]
        ),
        max_size=30,
    ),
    st.data(),
)
def test_a_text_filtered_in_pieces_equals_the_whole_text_filtered_at_once(words, data):
    text = "".join(words)
    whole = marked(text, {1, 2})
    filtered, passed, rest = MarkerFilter({1, 2}), "", text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        passed += filtered.feed(rest[:size])
        rest = rest[size:]
    passed += filtered.feed("", last=True)

    assert passed == whole.text
    assert tuple(filtered.removed) == whole.removed


def test_a_sentence_has_the_markers_before_or_after_its_end():
    text = (
        'Cider is 4.50 [1]. It ripens, e.g. in May. [2][3] "No. It is. Not so." [1]\nNobody knows'
    )

    assert [(s.text, s.markers) for s in sentences(text)] == [
        ("Cider is 4.50.", (1,)),
        ("It ripens, e.g. in May.", (2, 3)),
        ('"No. It is. Not so."', (1,)),
        ("Nobody knows", ()),
    ]


@given(st.text(alphabet=st.sampled_from('ab .!?"\n[1]“”'), max_size=200))
def test_the_parts_of_a_text_join_to_the_text(text):
    assert "".join(parts(text)) == text


def test_quotes_of_at_least_two_words_are_found():
    (sentence,) = sentences('It is "very cheap", says “the sign outside” of "cider" [1].')

    assert sentence.quotes == ("very cheap", "the sign outside")


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("NOT IN SOURCES", True),
        ("[model] Not in sources.", True),
        ("The provided documents do not mention the price of tea.", True),
        ("The sources don't say.", True),
        ("Cider costs 4.50.", False),
    ],
)
def test_an_answer_saying_that_the_sources_do_not_answer_is_recognised(text, denied):
    assert denies(text) is denied


def test_an_earlier_answer_is_shown_without_its_markers():
    assert without_markers("Cider is 4.50 [1][2]. Cheap [3].") == "Cider is 4.50. Cheap."


def test_a_bounded_number_of_invalid_markers_is_reported():
    """Thirty characters of an answer can name three hundred numbers."""
    result = marked("No [500-599, 600-699, 700-799]. " * 100, {1})

    assert "[" not in result.text
    assert len(result.removed) == MOST_REMOVED
    assert result.removed[:3] == (500, 501, 502)
