"""An answer in pieces ends where the same answer in one piece ends."""

from hypothesis import given
from hypothesis import strategies as st

from app.services.generation.stop_sequences import StopFinder

# Few letters, so that stop sequences often occur, completely or in part.
words = st.text("ab\N{CAT FACE}", max_size=12)
stops = st.lists(st.text("ab\N{CAT FACE}", min_size=1, max_size=4), min_size=1, max_size=3)


def said(pieces: list[str], finder: StopFinder) -> str:
    return "".join(finder.feed(piece) for piece in pieces) + finder.end()


@given(st.lists(words, max_size=8), stops)
def test_a_text_in_pieces_ends_where_the_whole_text_ends(pieces, stops):
    whole = "".join(pieces)
    ends = [whole.find(stop) for stop in stops if stop in whole]
    finder = StopFinder(tuple(stops))

    assert said(pieces, finder) == whole[: min(ends, default=len(whole))]
    assert (finder.found is not None) == bool(ends)


@given(st.lists(words, max_size=8), stops)
def test_only_text_that_could_begin_a_stop_sequence_is_held_back(pieces, stops):
    finder, given_out, fed = StopFinder(tuple(stops)), "", ""
    for piece in pieces:
        given_out += finder.feed(piece)
        fed += piece
        held = fed[len(given_out) :]
        if finder.found is None:
            assert not held or any(stop.startswith(held) for stop in stops)
