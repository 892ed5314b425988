"""How values and words are compared: their letters, their numbers, their dates."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from enum import StrEnum

from app.services.answers.numbers import Hints, NumberError, Separator, number

TOKEN = re.compile(r"\w+")
NUMBER = re.compile(r"[-+−(]?\s?[$€£¥]?\s?\d+(?:[.,'’ ]\d{3})*(?:[.,]\d+)?\)?")  # noqa: RUF001
_DATE = re.compile(
    r"(?P<y>\d{4})[-/. ](?P<m>\d{1,2})[-/. ](?P<d>\d{1,2})"
    r"|(?P<one>\d{1,2})[-/. ]{1,2}(?P<two>\d{1,2})[-/. ]{1,2}(?P<year>\d{4}|\d{2})"
    r"|(?P<day>\d{1,2})\.?(?:st|nd|rd|th)? (?P<name>[A-Za-z]{3,9})\.?,? (?P<in>\d{4})"
    r"|(?P<named>[A-Za-z]{3,9})\.? (?P<on>\d{1,2})(?:st|nd|rd|th)?,? (?P<of>\d{4})"
)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip


class Match(StrEnum):
    """How a reading supports a value."""

    EXACT = "exact"
    NORMALISED = "normalised"
    APPROXIMATE = "approximate"
    NONE = "none"


def folded(text: str) -> str:
    """Return ``text`` without what differs by case or by how Unicode spells it."""
    return unicodedata.normalize("NFKC", text).casefold()


def tokens(text: str) -> list[str]:
    """Return the words and numbers of ``text``, folded."""
    return TOKEN.findall(folded(text))


def squeezed(text: str) -> str:
    """Return ``text`` without its spaces."""
    return "".join(text.split())


def values(written: str) -> Iterator[float]:
    """Yield what a number may mean: one value, or two where its mark is a point or a thousand's."""
    for decimal in (None, Separator.POINT, Separator.COMMA):
        try:
            yield float(number(re.sub(r"[$€£¥\s]", "", written), Hints(decimal=decimal)))
        except NumberError:
            continue


def dates(text: str) -> Iterator[tuple[int, int, date]]:
    """Yield the dates written in ``text`` and where each stands.

    Both dates where day and month could be either.
    """
    for match in _DATE.finditer(text):
        for year, month, day in _readings(match):
            try:
                yield match.start(), match.end(), date(year, month, day)
            except ValueError:
                continue


def _readings(match: re.Match[str]) -> Iterator[tuple[int, int, int]]:
    if match["y"]:
        yield int(match["y"]), int(match["m"]), int(match["d"])
    elif match["one"]:
        year = int(match["year"]) + (2000 if len(match["year"]) == 2 else 0)
        yield year, int(match["two"]), int(match["one"])
        yield year, int(match["one"]), int(match["two"])
    elif match["name"]:
        yield from ((int(match["in"]), m, int(match["day"])) for m in _month(match["name"]))
    else:
        yield from ((int(match["of"]), m, int(match["on"])) for m in _month(match["named"]))


def _month(name: str) -> Iterator[int]:
    for place, month in enumerate(_MONTHS, 1):
        if month.startswith(name.casefold()):
            yield place
