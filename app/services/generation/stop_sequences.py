"""Finds the caller's stop sequences in an answer. Pure."""

import re
from dataclasses import dataclass, field


@dataclass(slots=True)
class StopFinder:
    """Finds the first stop sequence in an answer that arrives in pieces.

    A stop sequence may be split across pieces, so trailing text that could begin one is held back
    until more text arrives.
    """

    stops: tuple[str, ...]
    found: str | None = None
    """The stop sequence that ended the answer, or None."""
    _held: str = ""
    _pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self._pattern = re.compile("|".join(map(re.escape, self.stops)))

    def feed(self, text: str) -> str:
        """Add ``text`` and return the text that is now safe to emit, empty once stopped."""
        if self.found is not None:
            return ""
        text, self._held = self._held + text, ""
        if match := self._pattern.search(text):
            self.found = match[0]
            return text[: match.start()]
        certain = len(text) - self._beginning(text)
        text, self._held = text[:certain], text[certain:]
        return text

    def end(self) -> str:
        """Return the text held back so far, which is safe to emit at the answer's end."""
        text, self._held = self._held, ""
        return text

    def _beginning(self, text: str) -> int:
        """Return the length of the longest end of ``text`` that could begin a stop sequence."""
        longest = max(map(len, self.stops)) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self.stops):
                return length
        return 0
