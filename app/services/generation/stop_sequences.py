"""Finds the caller's stop sequences in an answer. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class StopFinder:
    """Finds the first stop sequence in an answer that arrives in pieces.

    The first is the one that is complete first, however the answer is cut into pieces; of those
    that are complete at the same place it is the longest. A stop sequence may be split across
    pieces, so trailing text that could begin one is held back until more text arrives.
    """

    stops: tuple[str, ...]
    found: str | None = None
    """The stop sequence that ended the answer, or None."""
    _held: str = ""

    def feed(self, text: str) -> str:
        """Add ``text`` and return the text that is now safe to emit, empty once stopped."""
        if self.found is not None:
            return ""
        text, self._held = self._held + text, ""
        if ends := [(start + len(stop), start, stop) for stop, start in self._starts(text)]:
            _, start, self.found = min(ends)
            return text[:start]
        certain = len(text) - self._beginning(text)
        text, self._held = text[:certain], text[certain:]
        return text

    def end(self) -> str:
        """Return the text held back so far, which is safe to emit at the answer's end."""
        text, self._held = self._held, ""
        return text

    def _starts(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield the stop sequences in ``text`` and where each begins for the first time."""
        for stop in self.stops:
            if (start := text.find(stop)) >= 0:
                yield stop, start

    def _beginning(self, text: str) -> int:
        """Return the length of the longest end of ``text`` that could begin a stop sequence."""
        longest = max(map(len, self.stops)) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self.stops):
                return length
        return 0
