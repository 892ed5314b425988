"""Cuts texts to the size of one guardrail call, and joins them again. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST = 25_000
"""Maximum characters of one call: as many units as AWS's default quota allows in a second."""
SEAM = 250
"""Characters on either side of a cut that are judged again together."""
_NEAR = 2_000
"""Characters before the limit that are searched for a better place to cut."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one text, for one call."""

    number: int
    """The text's place among all."""
    text: str
    seam: bool = False
    """Whether the piece only repeats the text around a cut."""


def calls(texts: Sequence[str]) -> Iterator[list[Piece]]:
    """Yield the pieces of each call: every text that is not blank, whole if possible."""
    together: list[Piece] = []
    size = 0
    for number, text in enumerate(texts):
        for piece in _cut(number, text):
            if together and size + len(piece.text) > MOST:
                yield together
                together, size = [], 0
            together.append(piece)
            size += len(piece.text)
    if together:
        yield together


def _cut(number: int, text: str) -> Iterator[Piece]:
    if not text.strip():
        return
    begin = 0
    while len(text) - begin > MOST:
        end = _place(text, begin + MOST)
        yield Piece(number, text[begin:end])
        yield Piece(number, text[max(0, end - SEAM) : end + SEAM], seam=True)
        begin = end
    yield Piece(number, text[begin:])


def _place(text: str, latest: int) -> int:
    """Return the place of a cut before ``latest``: after a line, else after a word."""
    near = text[latest - _NEAR : latest]
    for mark in ("\n", " "):
        position = near.rfind(mark)
        if position >= 0:
            return latest - _NEAR + position + 1
    return latest


def joined(texts: Sequence[str], shown: Sequence[tuple[Piece, str]]) -> tuple[str, ...]:
    """Return ``texts`` made of the pieces as ``shown``; blank texts are unchanged."""
    parts: dict[int, list[str]] = {}
    for piece, text in shown:
        if not piece.seam:
            parts.setdefault(piece.number, []).append(text)
    return tuple("".join(parts.get(number, [text])) for number, text in enumerate(texts))
