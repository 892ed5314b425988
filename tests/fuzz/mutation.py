"""Mutates well-formed bytes, as random ones would fail a format's first check."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

_EDITS = 6


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """Draw one of ``seeds`` with bytes changed, removed or repeated, or ``tokens`` inserted."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, _EDITS))):
        data = _edited(draw, data, seeds, tokens)
    return data


def _edited(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 64)))
    match draw(st.integers(0, 5)):
        case 0:
            return data[:start] + draw(st.binary(max_size=8)) + data[end:]
        case 1:
            return data[:start] + draw(st.sampled_from(tokens)) + data[end:]
        case 2:
            return data[:start] + data[end:]
        case 3:
            return data[:start]
        case 4:
            return data[:end] + data[start:]
        case _:
            return data[:start] + draw(st.sampled_from(seeds))[start:]


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return ``data`` split at those ``cuts`` that lie within it."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


cuts = st.lists(st.integers(0, 2**16), max_size=6)
