"""An answer in pieces ends where the same answer in one piece ends."""

from hypothesis import example, given
from hypothesis import strategies as st

from app.services.generation.stop_sequences import StopFinder

# Few letters, so that stop sequences often occur, completely or in part.
words = st.text("ab\N{CAT FACE}", max_size=12)
stops = st.lists(st.text("ab\N{CAT FACE}", min_size=1, max_size=4), min_size=1, max_size=3)


def said(pieces: list[str], finder: StopFinder) -> str:
    return "".join(finder.feed(piece) for piece in pieces) + finder.end()


@given(st.lists(words, max_size=8), stops)
@example(["ba", "b"], ["a", "bab"])
@example(["a", "b"], ["ab", "a"])
def test_a_text_in_pieces_ends_where_the_whole_text_ends(pieces, stops):
    whole, split = StopFinder(tuple(stops)), StopFinder(tuple(stops))

    assert said(pieces, split) == said(["".join(pieces)], whole)
    assert split.found == whole.found


@given(st.lists(words, max_size=8), stops)
def test_a_text_ends_before_the_stop_sequence_that_is_complete_first(pieces, stops):
    text, finder = "".join(pieces), StopFinder(tuple(stops))
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    written = text[: min(ends, default=len(text))]

    assert said(pieces, finder) + (finder.found or "") == written
    assert not any(stop in written[:-1] for stop in stops)


@given(st.lists(words, max_size=8), stops)
def test_only_text_that_could_begin_a_stop_sequence_is_held_back(pieces, stops):
    finder, given_out, fed = StopFinder(tuple(stops)), "", ""
    for piece in pieces:
        given_out += finder.feed(piece)
        fed += piece
        held = fed[len(given_out) :]
        if finder.found is None:
            assert not held or any(stop.startswith(held) for stop in stops)
