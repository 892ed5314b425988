# ruff: noqa: RUF001 - has Greek and Cyrillic names
"""Reads dates as pages write them."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

_MONTHS = (
    "january januari januar janvier enero gennaio janeiro stycznia ιανουαριου января",
    "february februari februar fevrier febrero febbraio fevereiro lutego φεβρουαριου февраля",
    "march marz maerz mars maart marzo marco marca μαρτιου марта",
    "april avril abril aprile kwietnia απριλιου апреля",
    "may mai maj mei mayo maggio maio maja μαιου маи мая",
    "june juni juin junio giugno junho czerwca ιουνιου июнь июня",
    "july juli juillet julio luglio julho lipca ιουλιου июль июля",
    "augusti augustus aout agosto sierpnia αυγουστου августа",
    "september septembre septiembre settembre setembro wrzesnia σεπτεμβριου сентября",
    "oktober october octobre octubre ottobre outubro pazdziernika οκτωβριου октября",
    "november novembre noviembre novembro listopada νοεμβριου ноября",
    "december dezember decembre diciembre dicembre dezembro grudnia δεκεμβριου декабря",
)
"""Month names without accents, in Llama 3.2's Latin-script languages and some European ones, which
pages abbreviate."""
_WHOLE_MONTHS = (
    "ledna januara tammikuuta ocak ianuarie січня",
    "unora februara helmikuuta subat februarie лютого",
    "brezna marca maaliskuuta mart martie maret marts березня marcius",
    "dubna aprila huhtikuuta nisan aprilie квітня aprilis",
    "kvetna maja toukokuuta mayis травня majus",
    "cervna juna kesakuuta haziran iunie червня junius",
    "cervence jula heinakuuta temmuz iulie липня julius",
    "srpna augusta elokuuta agustos agustus серпня augusztus",
    "zari septembra syyskuuta eylul septembrie вересня szeptember",
    "rijna oktobra lokakuuta ekim octombrie жовтня",
    "listopadu novembra marraskuuta kasim noiembrie листопада",
    "prosince decembra joulukuuta aralik decembrie desember грудня",
)
"""Month names of further languages without accents, which begin like those of other months."""
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "民國": 1911, "民国": 1911}
"""The year before the first of each Japanese era and of Taiwan's calendar."""
_BUDDHIST, _BUDDHIST_YEARS = 543, range(2400, 2700)
"""Years by which Thailand's calendar is ahead, and those that belong to it rather than to ours."""
_WEEKDAYS = (
    "monday montag lundi lunes lunedi segunda-feira maandag poniedzialek δευτερα понедельник",
    "tuesday dienstag mardi martes martedi terca-feira dinsdag wtorek τριτη вторник",
    "wednesday mittwoch mercredi miercoles mercoledi quarta-feira woensdag sroda τεταρτη среда",
    "thursday donnerstag jeudi jueves giovedi quinta-feira donderdag czwartek πεμπτη четверг",
    "friday freitag vendredi viernes venerdi sexta-feira vrijdag piatek παρασκευη пятница",
    "saturday samstag sonnabend samedi sabado sabato zaterdag sobota σαββατο суббота",
    "sunday sonntag dimanche domingo domenica zondag niedziela κυριακη воскресенье",
)
"""Names of the days of the week, in the same languages."""
_ON = re.compile(r"(?P<weekday>[^\W\d_]{2,13}(?:-feira)?)\.?,?\s+(?P<date>\S.*)")
_NAME = r"[^\W\d_]{3,12}"
_TH = r"(?:st|nd|rd|th|er|[ºoª])"
_PART = r"(?:\s?[-/. ,]\s?|\s(?:of|de|di)\s)"
_DATE = re.compile(
    rf"(?P<era>{'|'.join(_ERAS)})\s?(?P<y0>\d{{1,3}}|元)\s?年\s?(?P<m0>\d{{1,2}})\s?月\s?"
    r"(?P<d0>\d{1,2})\s?日"
    r"|(?<!\d)(?P<d9>\d{1,2})\sth[áa]ng\s(?P<m9>\d{1,2}),?(?:\sn[ăa]m)?\s(?P<y9>\d{4})(?!\d)"
    r"|(?P<y1>\d{4})(?:\s?[-/.年년]\s?)(?P<m1>\d{1,2})(?:\s?[-/.月월]\s?)"
    r"(?P<d1>\d{1,2})(?:\s?[日일])?(?!\d)"
    r"|(?<!\d)(?P<y2>(?:19|20)\d\d)(?P<m2>\d\d)(?P<d2>\d\d)(?!\d)"
    r"|(?<!\d)(?P<a>\d{1,2})(?P<mark>\s?[-/. ]{1,2})(?P<b>\d{1,2})\s?[-/. ]{1,2}"
    r"(?P<y3>\d{4}|\d{2})(?!\d)"
    rf"|(?<!\d)(?P<d4>\d{{1,2}})\.?{_TH}?{_PART}(?P<n4>{_NAME})\.?,?{_PART}"
    r"'?(?P<y4>\d{4}|\d{2})(?!\d)"
    rf"|(?P<n5>{_NAME})\.?[-/ ](?P<d5>\d{{1,2}}){_TH}?,?[-/ ](?P<y5>\d{{4}})(?!\d)"
    rf"|(?<!\d)(?P<y6>\d{{4}})[-/. ]{{1,2}}(?P<n6>{_NAME})[-/. ](?P<d6>\d{{1,2}})(?!\d)"
    rf"|(?<!\d)(?P<d7>\d{{1,2}})(?P<n7>{_NAME})(?P<y7>\d{{4}})(?!\d)"
    r"|(?<!\d)(?P<d8>\d{1,2})[-/. ]{1,2}(?P<n8>[IVX]{1,4})[-/. ]{1,2}(?P<y8>\d{4})(?!\d)",
    re.IGNORECASE,
)
"""Groups begin with e for an era, y for a year, m a month, n its name, d a day, and a or b a day
or a month."""
_PARTIAL = re.compile(
    r"(?<![\w./-])(?P<y1>\d{4})\s?[-/年년]\s?(?P<m1>\d{1,2})[月월]?(?![\w-]|[/.]\w)"
    r"|(?<![\w./-])(?P<m2>\d{1,2})[-/.](?P<y2>\d{4})(?![\w-]|[/.]\w)"
    rf"|(?<![\w-])(?P<n3>{_NAME})\.?,?(?:\s?[-/ ]\s?|\s(?:of|de|di)\s)'?(?P<y3>\d{{4}})(?![\w-])"
    rf"|(?<![\w.,/-])(?P<d4>\d{{1,2}})(?:\.|{_TH})?\s(?:of\s|de\s|di\s)?(?P<n4>{_NAME})(?!\w)"
    rf"|(?<![\w-])(?P<n5>{_NAME})\.?\s(?P<d5>\d{{1,2}}){_TH}?(?![\w/-]|[.,:]\d)",
    re.IGNORECASE,
)
"""Matches a month of a year or a day of a month."""
_CENTURY = 30
"""The smallest two-digit year that may be of the last century, as in a date of birth."""


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """A date; parts that are not written are None."""

    year: int | None
    month: int
    day: int | None

    def less(self) -> "Iterator[Day]":
        """Yield the date and, if it is complete, its month with the year and its day without it."""
        yield self
        if self.year and self.day:
            yield Day(self.year, self.month, None)
            yield Day(None, self.month, self.day)


def dates(text: str, *, month_first: bool | None = None) -> Iterator[tuple[int, int, Day]]:
    """Yield the start, end and value of each date in ``text``, then of each partial date.

    03/04/2024 yields both readings unless ``month_first`` decides.
    """
    rest = text
    for start, end, days in _scanned(_DATE, text, month_first):
        rest = f"{rest[:start]}{'_' * (end - start)}{rest[end:]}"
        yield from ((start, end, day) for day in days)
    for start, end, days in _scanned(_PARTIAL, rest):
        yield from ((start, end, day) for day in days)


def whole(text: str) -> set[Day]:
    """Return the dates that ``text`` is one of; with a day of the week, those on that day."""
    days = {day for start, end, day in dates(text) if end - start == len(text)}
    if days or not (match := _ON.fullmatch(text)):
        return days
    return {day for day in whole(match["date"]) if _is_on(day, match["weekday"])}


def month_first(texts: Iterable[str]) -> bool | None:
    """Return whether the dates of ``texts`` have the month first; None if unknown or mixed."""
    orders = {
        int(match["b"]) > 12
        for text in texts
        for match in _DATE.finditer(text)
        if match["a"] and (int(match["a"]) > 12) != (int(match["b"]) > 12)
    }
    return orders.pop() if len(orders) == 1 else None


def _scanned(
    pattern: re.Pattern[str], text: str, month_first: bool | None = None
) -> Iterator[tuple[int, int, list[Day]]]:
    place = 0
    while match := pattern.search(text, place):
        parts = {name[0]: part for name, part in match.groupdict().items() if part}
        days = [day for day in dict.fromkeys(_readings(parts, month_first)) if _exists(day)]
        if days:
            yield match.start(), match.end(), days
        # A match that is no date may end with the beginning of one: ``5 items 01 March 2026``.
        place = match.end() if days else match.start() + 1


def _exists(day: Day) -> bool:
    try:
        # Without a year, 29 February is valid.
        date(2000 if day.year is None else day.year, day.month, day.day or 1)
    except ValueError:
        return False
    return True


def _readings(parts: Mapping[str, str], month_first: bool | None) -> Iterator[Day]:
    day = int(parts["d"]) if "d" in parts else None
    for year in _years(parts["y"], parts.get("e")) if "y" in parts else (None,):
        if "n" in parts:
            yield from (Day(year, month, day) for month in _months(parts["n"]))
        elif "a" in parts:
            yield from _of_two(year, int(parts["a"]), int(parts["b"]), parts["m"], month_first)
        else:
            yield Day(year, int(parts["m"]), day)


def _of_two(
    year: int | None, one: int, two: int, mark: str, month_first: bool | None
) -> Iterator[Day]:
    either = one <= 12 and two <= 12
    # With points the day comes first.
    if either and "." in mark:
        month_first = False
    if not (either and month_first):
        yield Day(year, two, one)
    if not (either and month_first is False):
        yield Day(year, one, two)


def _years(digits: str, era: str | None = None) -> tuple[int, ...]:
    if era is not None:
        return (_ERAS[era] + (1 if digits == "元" else int(digits)),)
    year = int(digits)
    if len(digits) > 2:
        return (year, year - _BUDDHIST) if year in _BUDDHIST_YEARS else (year,)
    return (2000 + year, 1900 + year) if year >= _CENTURY else (2000 + year,)


def _months(name: str) -> Iterator[int]:
    plain = _plain(name)
    if plain in _ROMAN:
        yield _ROMAN.index(plain) + 1
        return
    known = [place for place, names in enumerate(_WHOLE_MONTHS, 1) if plain in names.split()]
    for place, names in enumerate(_MONTHS, 1):
        if place in known or (not known and _begins(names, name)):
            yield place


def _is_on(day: Day, weekday: str) -> bool:
    if day.year is None or day.day is None:
        return False
    return _begins(_WEEKDAYS[date(day.year, day.month, day.day).weekday()], weekday)


def _begins(names: str, name: str) -> bool:
    """Tell whether ``name``, without its accents, is one of ``names`` or short for one."""
    letters = _plain(name)
    return any(known.startswith(letters) for known in names.split())


def _plain(name: str) -> str:
    """Return ``name`` in lower case and without its accents and Turkey's dotless i."""
    plain = unicodedata.normalize("NFKD", name.casefold()).replace("ı", "i")
    return "".join(char for char in plain if not unicodedata.combining(char))
