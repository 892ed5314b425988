"""Finds where a stop text of the caller's ends an answer. Pure."""

import re
from dataclasses import dataclass, field


@dataclass(slots=True)
class StopFinder:
    """Finds the first stop text in an answer that comes in pieces.

    A stop text may be cut by the border of two pieces, so an end that could begin one is held
    back until it is known to be none.
    """

    stops: tuple[str, ...]
    found: str | None = None
    """The stop text that ended the answer."""
    _held: str = ""
    _pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self._pattern = re.compile("|".join(map(re.escape, self.stops)))

    def feed(self, text: str) -> str:
        """Return the text that is certain once ``text`` is added; nothing after a stop."""
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
        """Return the text that was held back, which is certain at the answer's end."""
        text, self._held = self._held, ""
        return text

    def _beginning(self, text: str) -> int:
        """Return how many characters at the end could begin a stop text."""
        longest = max(map(len, self.stops)) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self.stops):
                return length
        return 0
