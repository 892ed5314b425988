"""The text of a stream that waits for its verdict. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class HeldText:
    """Cuts a text that arrives in pieces into overlapping windows.

    A window's last characters may begin a hit that ends in the next one, so that many of them
    are held back and checked again. Windows end, and texts are let go, at white space: no
    word is judged by a part of it.
    """

    size: int
    """Number of new characters that are checked together."""
    overlap: int
    """Checked characters that are held back: the length of the longest text that a guardrail has
    to find."""
    text: str = ""
    """The text that is held back."""
    _new: int = 0

    def feed(self, text: str) -> str | None:
        """Add ``text`` and return the text to check; None if there is not enough yet."""
        self.text += text
        self._new += len(text)
        if self._new < self.size:
            return None
        end = _last_space(self.text, len(self.text))
        if end > len(self.text) - self._new:
            return self.text[:end]
        # A text without white space is cut anywhere, or it would be held for ever.
        return None if self._new < 2 * self.size else self.text

    def passed(self, checked: str, shown: str) -> str:
        """Return and forget the part of ``checked`` that may be sent, as ``shown``."""
        self._new = len(self.text) - len(checked)
        keep = len(checked) - self.overlap
        if keep <= 0:
            return ""
        cut = _last_space(checked, keep) or keep
        tail = checked[cut:]
        if not shown.endswith(tail):
            # Something is masked where the next window begins, so that part is checked again.
            return ""
        self.text = self.text[cut:]
        return shown[: len(shown) - len(tail)]


def _last_space(text: str, end: int) -> int:
    """Return the position after the last white space before ``end``; 0 if there is none."""
    for place in range(end, 0, -1):
        if text[place - 1].isspace():
            return place
    return 0
