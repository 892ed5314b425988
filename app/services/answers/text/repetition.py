"""Loops: the same text again and again until no room is left."""

from dataclasses import dataclass

WINDOW = 4096
"""Characters at an answer's end in which a loop is looked for."""
LONGEST = 512
"""Characters of what is repeated, at most."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A text that repeats itself up to its end."""

    start: int
    """The position of the first of the repeated texts."""
    unit: str

    @property
    def message(self) -> str:
        """The message for the caller."""
        shown = " ".join(self.unit.split())[:60]
        return f"The model said {shown!r} again and again."

    @property
    def kept(self) -> int:
        """The position to cut at, behind the first of them."""
        return self.start + len(self.unit)


def loop(text: str, *, times: int = 6, characters: int = 40) -> Loop | None:
    """Return the loop in which ``text`` ends, of that many repeats and characters, else None.

    Takes time in proportion to `WINDOW`, however long the text is, but for finding where a loop
    that is longer than it began.
    """
    tail = text[-WINDOW:]
    end = tail[-min(characters // 2, 32) :]
    # Where an answer loops, its end stands there once before: seldom true, and told at once.
    if tail.rfind(end, max(0, len(tail) - LONGEST - len(end)), len(tail) - 1) < 0:
        return None
    period = _period(tail[::-1], times, characters)
    if period is None:
        return None
    unit = tail[-period:]
    start = len(text) - period
    while start >= period and text.startswith(unit, start - period):
        start -= period
    return Loop(start, unit)


def _period(reversed_tail: str, times: int, characters: int) -> int | None:
    """Return the shortest period in which a reversed text begins, by its prefixes' lengths.

    ``lengths[i]`` is how far the text is the same as from ``i`` on (the Z function).
    """
    size = len(reversed_tail)
    lengths = [0] * size
    left = right = 0
    for i in range(1, min(size, LONGEST + 1)):
        length = min(right - i, lengths[i - left]) if i < right else 0
        while i + length < size and reversed_tail[length] == reversed_tail[i + length]:
            length += 1
        lengths[i] = length
        if i + length > right:
            left, right = i, i + length
        run = i + length
        if run >= characters and run >= times * i and reversed_tail[:i].strip():
            return i
    return None


@dataclass(slots=True)
class LoopFinder:
    """Watches an answer that comes in pieces."""

    times: int = 8
    characters: int = 1000
    step: int = 200
    """Characters between two looks."""
    _tail: str = ""
    _fresh: int = 0

    def feed(self, text: str) -> Loop | None:
        """Return the loop that the answer has run into, None while it has not.

        Its places are those within the last `WINDOW` characters.
        """
        self._tail = (self._tail + text)[-WINDOW:]
        self._fresh += len(text)
        if self._fresh < self.step or len(self._tail) < self.characters:
            return None
        self._fresh = 0
        return loop(self._tail, times=self.times, characters=self.characters)
