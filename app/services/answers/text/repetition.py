"""Finds loops, in which an answer repeats the same text until it is cut off."""

from dataclasses import dataclass

WINDOW = 4096
"""Characters at an answer's end that are searched for a loop."""
LONGEST = 512
"""Maximum characters of the repeated text."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A repetition that continues to a text's end."""

    start: int
    """The position of the first repeated unit."""
    unit: str

    @property
    def message(self) -> str:
        """Return the message for the caller."""
        shown = " ".join(self.unit.split())[:60]
        return f"The model said {shown!r} again and again."

    @property
    def kept(self) -> int:
        """Return the position after the first unit, to cut the text at."""
        return self.start + len(self.unit)


def loop(text: str, *, times: int = 6, characters: int = 40) -> Loop | None:
    """Return the loop at the end of ``text`` with at least so many repeats and characters, or None.

    The time depends on `WINDOW`, not on the text's length, except for finding the start of a loop
    that is longer than the window.
    """
    tail = text[-WINDOW:]
    end = tail[-min(characters // 2, 32) :]
    # A loop's end occurs once before; this quick check is seldom true for other answers.
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
    """Return the shortest period at the start of a reversed text, or None.

    Uses the Z function: ``lengths[i]`` is the length of the common prefix of the text and its
    suffix from ``i``.
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
    """Watches an answer that arrives in pieces for a loop."""

    times: int = 8
    characters: int = 1000
    step: int = 200
    """Characters between two checks."""
    _tail: str = ""
    _fresh: int = 0

    def feed(self, text: str) -> Loop | None:
        """Return the loop that the answer has run into, or None.

        Its positions are relative to the last `WINDOW` characters.
        """
        self._tail = (self._tail + text)[-WINDOW:]
        self._fresh += len(text)
        if self._fresh < self.step or len(self._tail) < self.characters:
            return None
        self._fresh = 0
        return loop(self._tail, times=self.times, characters=self.characters)
