# ruff: noqa: RUF001 - letters that look alike are what this is about
"""How values and words are compared: letter by letter, or without what means nothing."""

import re
import unicodedata
from enum import StrEnum

_LETTER = r"[^\W_]|[\u0900-\u0963\u0966-\u0dff\u0e00-\u0e3e\u0e40-\u0eff\u1780-\u17d3]"
"""Letters and digits, and the vowels of Indian and Thai scripts, which Unicode has as marks."""
TOKEN = re.compile(f"(?:{_LETTER})+")
_NO_FRACTION = re.compile("[^½¼¾]+")
"""Signs that would become two numbers: of 1½ there would be 11/2."""

_USUAL = str.maketrans({"\u066c": ",", "\u066b": ".", "\u0640": None, "×": "x"})
"""Arabic's marks of thousands and decimals, the stroke that makes a word longer, and ``5 × 10``."""


_TWO_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE", "ø": "oe", "Ø": "OE"}
    | {"æ": "ae", "Æ": "AE", "å": "aa", "Å": "AA"}
)
_LAST_GREEK = "\u03ff"
_ALIKE = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧουνι", "ABEZHIKMNOPTYXouvi")
"""Greek letters that look like Latin ones: an engine mixes them up."""


class Match(StrEnum):
    """How a reading supports a value."""

    EXACT = "exact"
    NORMALISED = "normalised"
    APPROXIMATE = "approximate"
    NONE = "none"


def composed(text: str) -> str:
    """Return ``text`` in Unicode's usual letters and digits, without ligatures and full widths."""
    usual = _NO_FRACTION.sub(lambda part: unicodedata.normalize("NFKC", part[0]), text)
    plain = usual.translate(_USUAL)
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain)


def folded(text: str) -> str:
    """Return ``text`` without what differs by case or by how Unicode spells it."""
    return composed(text).casefold()


def transliterated(text: str) -> str:
    """Return ``text`` as passports and old printers write it: Müller as Mueller."""
    return composed(text).translate(_TWO_LETTERS)


def unaccented(text: str) -> str:
    """Return ``text`` without the accents of Latin and Greek letters, look-alikes as Latin."""
    plain = "".join(
        unicodedata.normalize("NFD", char)[0] if char <= _LAST_GREEK else char
        for char in composed(text)
    )
    return plain.translate(_ALIKE)


def tokens(text: str) -> list[str]:
    """Return the words and numbers of ``text``, folded."""
    return TOKEN.findall(folded(text))


def squeezed(text: str) -> str:
    """Return ``text`` without its spaces."""
    return "".join(text.split())
