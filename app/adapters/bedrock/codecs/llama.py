"""The Llama 3.2 prompt template; keeps text from forming its special tokens.

Source: Meta's ``llama3_2/vision_prompt_format.md``.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from app.domain.generation import ModelRequest, Role, Turn
from app.domain.image import PreparedImage

IMAGE = "<|image|>"

# Every code point whose compatibility form (NFKC) is "<", "|" or ">".
_LESS = "<\N{SMALL LESS-THAN SIGN}\N{FULLWIDTH LESS-THAN SIGN}"
_BAR = "|\N{FULLWIDTH VERTICAL LINE}"
_GREATER = ">\N{SMALL GREATER-THAN SIGN}\N{FULLWIDTH GREATER-THAN SIGN}"
_TOKEN = re.compile(rf"([{_LESS}][{_BAR}])([^\s{_LESS}{_BAR}{_GREATER}]+)([{_BAR}][{_GREATER}])")


def whole(text: str) -> str:
    """Return ``text`` with U+FFFD for each half of a character, which no JSON or UTF-8 can hold."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(slots=True)
class WholeText:
    """Joins the characters of a text that comes in pieces, wherever they were cut."""

    _held: str = ""
    """Half a character, which the next piece may complete."""

    def feed(self, text: str, *, last: bool = False) -> str:
        """Return the complete characters of ``text``; at the end U+FFFD stands for halves."""
        if not self._held and text.isascii():
            return text
        text, self._held = self._held + text, ""
        if not last and "\ud800" <= text[-1:] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return whole(text)


def neutralise(text: str) -> str:
    """Return ``text`` with nothing in it that could be read as a special token.

    Spaces go inside the brackets (``<|eot_id|>`` becomes ``<| eot_id |>``): it stays readable,
    and as nothing is removed nothing can close up into a new token. Look-alikes that
    compatibility normalisation would turn into a token are treated the same.
    """
    if text.isascii() and "<|" not in text:
        return text
    text = unicodedata.normalize("NFC", stream_safe(whole(text)))
    while True:
        broken = _TOKEN.sub(r"\1 \2 \3", text)
        if broken == text:
            return text
        text = broken


_LONGEST_RUN = 30
"""Combining marks in a row: what Unicode's stream-safe text format has at most (UAX 15)."""
_JOINER = "\N{COMBINING GRAPHEME JOINER}"


def stream_safe(text: str) -> str:
    """Return ``text`` with a joiner within each longer run of combining marks.

    Normalisation sorts each run, in a time that grows with the square of its length.
    """
    # A longer run has a mark at one of these places, whatever place it begins at.
    if not any(map(unicodedata.combining, text[:: _LONGEST_RUN + 1])):
        return text
    return _long_run().sub(rf"\g<0>{_JOINER}", text)


@cache
def _long_run() -> re.Pattern[str]:
    # There are none beyond the second plane.
    marks = [chr(code) for code in range(0x20000) if unicodedata.combining(chr(code))]
    several = f"[{''.join(marks)}]"
    return re.compile(f"{several}{{{_LONGEST_RUN}}}(?={several})")


def render(request: ModelRequest) -> str:
    """Return the whole prompt, one ``<|image|>`` per picture before its turn's text."""
    if request.raw_prompt:
        return whole(request.turns[0].text)
    turns = [_turn(turn.role, _content(turn)) for turn in request.turns]
    if request.system:
        turns.insert(0, _turn("system", neutralise(request.system)))
    begun = neutralise(request.begun) if request.begun else ""
    return f"<|begin_of_text|>{''.join(turns)}{_header(Role.ASSISTANT)}{begun}"


def size(request: ModelRequest) -> int:
    """Return the work that a body with ``request`` takes, in bytes of a picture's base64.

    Text is normalised and searched: a character is as much work as 16 bytes of a picture.
    """
    total = 0
    for turn in request.turns:
        total += len(turn.text) * 16
        for image in turn.images:
            total += len(image.data) * 4 // 3
    return total


def _content(turn: Turn[PreparedImage]) -> str:
    return IMAGE * len(turn.images) + neutralise(turn.text)


def _turn(role: str, content: str) -> str:
    return f"{_header(role)}{content}<|eot_id|>"


def _header(role: str) -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n"
