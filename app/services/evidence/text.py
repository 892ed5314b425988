# ruff: noqa: RUF001 - compares letters that look alike
"""Normalises texts for comparison, by removing differences without meaning."""

import re
import unicodedata
from enum import StrEnum

_LETTER = r"[^\W_]|[\u0900-\u0963\u0966-\u0dff\u0e00-\u0e3e\u0e40-\u0eff\u1780-\u17d3]"
"""Letters, digits, and the vowels of Indian and Thai scripts, which Unicode classes as marks."""
TOKEN = re.compile(f"(?:{_LETTER})+")
_NO_FRACTION = re.compile("[^½¼¾]+")
"""Matches text without fraction signs, since normalisation would turn 1½ into 11/2."""

_RAISED = re.compile("(?<=\\d)(?:[\u207a\u207b\u2212-]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)")
"""Matches a superscript after a digit, since normalisation would turn 10\u2075 into 105."""
_LOWERED = re.compile("(?<=\\d)[\u2080-\u2089]+")
_VULGAR = re.compile("(?<=\\d)[\u2150-\u215e]")
"""Matches a fraction sign after a whole number, which normalisation would turn into 21/3."""

_USUAL = str.maketrans({"\u066c": ",", "\u066b": ".", "\u0640": None, "×": "x", "\u2044": "/"})
"""Replaces Arabic marks of thousands and decimals, Arabic's tatweel, the sign of ``5 × 10``, and a
fraction's slash."""


_TWO_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE", "ø": "oe", "Ø": "OE"}
    | {"æ": "ae", "Æ": "AE", "å": "aa", "Å": "AA"}
)
_LAST_GREEK = "\u03ff"
_ALIKE = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαηικνορτυχω", "ABEZHIKMNOPTYXanikvoptuxw")
"""Replaces Greek letters that look like Latin ones, which an engine confuses."""


class Match(StrEnum):
    """How a reading supports a value."""

    EXACT = "exact"
    NORMALISED = "normalised"
    APPROXIMATE = "approximate"
    NONE = "none"


def composed(text: str) -> str:
    """Return ``text`` in Unicode's compatible composition, without ligatures and full widths."""
    apart = _LOWERED.sub(r"_\g<0>", _RAISED.sub(r"^\g<0>", _VULGAR.sub(r" \g<0>", text)))
    usual = _NO_FRACTION.sub(lambda part: unicodedata.normalize("NFKC", part[0]), apart)
    plain = usual.translate(_USUAL)
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain)


def folded(text: str) -> str:
    """Return ``text`` composed and without case."""
    return composed(text).casefold()


def transliterated(text: str) -> str:
    """Return ``text`` as passports and old printers write it, such as Mueller for Müller."""
    return composed(text).translate(_TWO_LETTERS)


def unaccented(text: str) -> str:
    """Return ``text`` without Latin and Greek accents."""
    return "".join(
        unicodedata.normalize("NFD", char)[0] if char <= _LAST_GREEK else char
        for char in composed(text)
    )


def latinised(text: str) -> str:
    """Return ``text`` without accents and with Greek look-alikes as Latin letters."""
    return unaccented(text).translate(_ALIKE)


def tokens(text: str) -> list[str]:
    """Return the folded words and numbers of ``text``."""
    return TOKEN.findall(folded(text))


def squeezed(text: str) -> str:
    """Return ``text`` without its spaces."""
    return "".join(text.split())
