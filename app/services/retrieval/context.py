"""Cuts texts to the tokens that a prompt has for them: best first, in whole sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.citation import parts
from app.domain.generation import ModelRequest, Role, Turn
from app.domain.ports import TokenCounter

LONGEST = 200_000
"""Maximum characters of one chunk that are read."""


@dataclass(frozen=True, slots=True)
class FittedText:
    """The part of a text that fits; empty if none does."""

    text: str
    tokens: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ContextCutter:
    """Fits texts into a number of tokens."""

    counter: TokenCounter

    async def tokens(self, text: str) -> int:
        """Return the tokens of ``text``, or an upper bound without the vocabulary."""
        if not text:
            return 0
        counted = await self.counter.count(ModelRequest((Turn(Role.USER, text),)))
        return counted.tokens

    async def fitted(self, texts: Sequence[str], room: int, each: int) -> tuple[FittedText, ...]:
        """Return the parts of ``texts`` that fit; the first text counts most.

        ``room`` is for all together, ``each`` the tokens around one. The first that does not fit
        whole is cut at the end of a sentence; later ones fit whole or not at all.
        """
        parts: list[FittedText] = []
        cutting = True
        for text in texts:
            wanted = text[:LONGEST]
            fitted = FittedText(wanted, await self.tokens(wanted), len(wanted) < len(text))
            left = room - each
            if fitted.tokens > left:
                fitted = await self._beginning(wanted, left) if cutting else FittedText("", 0)
                cutting = False
            if fitted.text:
                room -= fitted.tokens + each
            parts.append(fitted)
        return tuple(parts)

    async def _beginning(self, text: str, room: int) -> FittedText:
        """Return as many whole sentences from the beginning as fit."""
        sentences = parts(text)
        best = FittedText("", 0)
        low, high = 1, len(sentences) - 1
        while low <= high:
            middle = (low + high) // 2
            beginning = "".join(sentences[:middle]).rstrip()
            tokens = await self.tokens(beginning)
            if tokens <= room:
                best, low = FittedText(beginning, tokens, cut=True), middle + 1
            else:
                high = middle - 1
        return best
