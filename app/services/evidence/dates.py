"""Dates as pages write them."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date

_MONTHS = (
    "january januar janvier enero gennaio janeiro",
    "february februar fevrier febrero febbraio fevereiro",
    "march marz maerz mars marzo marco",
    "april avril abril aprile",
    "may mai mayo maggio maio",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august aout agosto",
    "september septembre septiembre settembre setembro",
    "october oktober octobre octubre ottobre outubro",
    "november novembre noviembre novembro",
    "december dezember decembre diciembre dicembre dezembro",
)
"""Months in the languages of Llama 3.2 that use Latin script, without accents."""
_NAME = r"[^\W\d_]{3,10}"
_PART = r"(?:\s?[-/. ,]\s?|\s(?:of|de|di)\s)"
_DATE = re.compile(
    r"(?P<y>\d{4})(?:\s?[-/.年]\s?)(?P<m>\d{1,2})(?:\s?[-/.月]\s?)(?P<d>\d{1,2})日?(?!\d)"
    r"|(?<!\d)(?P<whole>(?:19|20)\d{6})(?!\d)"
    r"|(?<!\d)(?P<one>\d{1,2})\s?[-/. ]{1,2}(?P<two>\d{1,2})\s?[-/. ]{1,2}"
    r"(?P<year>\d{4}|\d{2})(?!\d)"
    rf"|(?<!\d)(?P<day>\d{{1,2}})\.?(?:st|nd|rd|th|er|º)?{_PART}(?P<name>{_NAME})\.?,?{_PART}"
    r"'?(?P<in>\d{4}|\d{2})(?!\d)"
    rf"|(?P<named>{_NAME})\.?[-/ ](?P<on>\d{{1,2}})(?:st|nd|rd|th)?,?[-/ ](?P<of>\d{{4}})(?!\d)"
    r"|(?<!\d)(?P<near>\d{1,2})(?P<short>[^\W\d_]{3})(?P<then>\d{4})(?!\d)",
    re.IGNORECASE,
)


def dates(text: str) -> Iterator[tuple[int, int, date]]:
    """Yield the dates written in ``text`` and where each stands.

    Both dates where day and month could be either.
    """
    place = 0
    while match := _DATE.search(text, place):
        days = list(_days(match))
        yield from ((match.start(), match.end(), day) for day in days)
        # What is none may have a date's beginning for its end: ``5 items 01 March 2026``.
        place = match.end() if days else match.start() + 1


def _days(match: re.Match[str]) -> Iterator[date]:
    for year, month, day in _readings(match):
        try:
            yield date(year, month, day)
        except ValueError:
            continue


def _readings(match: re.Match[str]) -> Iterator[tuple[int, int, int]]:
    if match["y"]:
        yield int(match["y"]), int(match["m"]), int(match["d"])
    elif match["whole"]:
        digits = match["whole"]
        yield int(digits[:4]), int(digits[4:6]), int(digits[6:])
    elif match["one"]:
        year = _year(match["year"])
        yield year, int(match["two"]), int(match["one"])
        yield year, int(match["one"]), int(match["two"])
    elif match["name"]:
        day, year = int(match["day"]), _year(match["in"])
        yield from ((year, month, day) for month in _months(match["name"]))
    elif match["near"]:
        day, year = int(match["near"]), int(match["then"])
        yield from ((year, month, day) for month in _months(match["short"]))
    else:
        day, year = int(match["on"]), int(match["of"])
        yield from ((year, month, day) for month in _months(match["named"]))


def _year(digits: str) -> int:
    return int(digits) + (2000 if len(digits) == 2 else 0)


def _months(name: str) -> Iterator[int]:
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    for place, names in enumerate(_MONTHS, 1):
        if any(month.startswith(letters) for month in names.split()):
            yield place
