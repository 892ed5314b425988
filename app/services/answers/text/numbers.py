# ruff: noqa: RUF001 - reads the signs that people and models write
"""Reads numbers as people write them if there is only one way to read them."""

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

LONGEST = 400
"""Maximum characters of a number; the largest float has 309 digits."""


class NumberError(ValueError):
    """A text is not a number or is ambiguous; the message says which."""


class Separator(StrEnum):
    """The decimal sign of a document."""

    POINT = "."
    COMMA = ","


@dataclass(frozen=True, slots=True)
class Hints:
    """Context for reading a number."""

    integer: bool = False
    decimal: Separator | None = None
    """The decimal sign of the document's other numbers, or None if they disagree."""
    share: bool = False
    """Whether a fraction from 0 to 1 is expected, so that 12 % is 0.12."""
    percent: bool = False
    """Whether a percentage is expected, so that 12 % is 12."""
    approximate: bool = False
    """Whether ``about 15`` may be read as 15."""
    bare: bool = False
    """Whether the number was written without quotes, as a JSON number."""


_HALVES = {"½": " 1/2", "¼": " 1/4", "¾": " 3/4"}
_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_PLAIN = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
CURRENCY = (
    r"(?:US\$|A\$|C\$|R\$|CA\$|[$€£¥₹₩₽₺₫฿₴₦₱]|\b(?:USD|EUR|GBP|JPY|CNY|RMB|INR|CHF|CAD|AUD|NZD|SEK|NOK|DKK"
    r"|PLN|CZK|HUF|RON|BRL|MXN|THB|SGD|HKD|KRW|TRY|ZAR|MYR|IDR|PHP|VND|RUB|UAH|ILS|AED|RM|Rs|Rp|kr|zł"
    r"|Kč|Ft|lei|euros?|Euros?|dollars?|pounds?|rupees?|yen)\b\.?)"
)
_AROUND = re.compile(rf"^{CURRENCY}\s*|\s*{CURRENCY}$", re.IGNORECASE)
_ABOUT = re.compile(r"^(?:~|≈|about|approx\.?|approximately|ca\.?|circa|around)\s*", re.IGNORECASE)
_DIGITS = re.compile(r"\d[\d.,'’ \u00a0\u202f_]*\d|\d|[.,]\d+")
_UNIT = re.compile(
    r"(?<=[\d.,])\s*(?:kg|(?-i:g|m)|mg|lbs?|oz|km|cm|mm|ft|in|l|ml|cl|pcs?|pieces?|units?|items?|stk|stück|x|°[CF]?|kWh|kW|W|V"
    r"|h|hrs?|hours?|min|mins|minutes?|s|sec|days?|years?|people|persons?|/-|,-|,–|,—)\.?$",
    re.IGNORECASE,
)
_FRACTION = re.compile(r"(?:(\d{1,6})\s+)?(\d{1,6})\s*[/⁄]\s*(\d{1,6})")
_OUT_OF = re.compile(r"(\d{1,3}(?:[.,]\d{1,2})?)\s*(?:/|out of|of)\s*(5|10|100)", re.IGNORECASE)
_WORDS = {
    word: number
    for number, words in enumerate(
        (
            "zero null", "one eins un uno um", "two zwei deux dos due dois",
            "three drei trois tres tre três", "four vier quatre cuatro quattro quatro",
            "five fünf cinq cinco cinque", "six sechs seis sei",
            "seven sieben sept siete sette sete", "eight acht huit ocho otto oito",
            "nine neun neuf nueve nove", "ten zehn dix diez dieci dez",
            "eleven elf onze once undici",
            "twelve zwölf douze doce dodici doze", "thirteen dreizehn treize trece tredici treze",
            "fourteen vierzehn quatorze catorce quattordici catorze",
            "fifteen fünfzehn quinze quince quindici",
            "sixteen sechzehn seize dieciséis sedici dezesseis",
            "seventeen siebzehn diciassette", "eighteen achtzehn diciotto dezoito",
            "nineteen neunzehn diciannove", "twenty zwanzig vingt veinte venti vinte",
        )
    )
    for word in words.split()
    if word != "null"
}  # fmt: skip


def number(text: str, hints: Hints = Hints()) -> int | float:
    """Return the only number that ``text`` can mean, or raise NumberError."""
    text = text.strip()
    if len(text) > LONGEST:
        raise NumberError("is longer than any number")
    if _PLAIN.fullmatch(text) and _as_json(text, hints):
        return _finite(text, hints)
    for sign, words in _HALVES.items():
        text = text.replace(sign, words)
    return _finite(str(_written(unicodedata.normalize("NFKC", text).strip(), hints)), hints)


def _as_json(text: str, hints: Hints) -> bool:
    """Return whether ``text`` can only mean what it means in JSON, not thousands or a code."""
    if hints.bare and not (hints.decimal is Separator.COMMA and _THOUSANDS.fullmatch(text)):
        return True
    return not _THOUSANDS.fullmatch(text) and text.lower().find("e") < 0


def _finite(text: str, hints: Hints) -> int | float:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise NumberError(f"{text[:40]} is beyond all bounds")
    # A float has only 15 to 17 digits of a long integer that is written with decimals.
    return int(Decimal(text)) if hints.integer and value.is_integer() else value


def _written(text: str, hints: Hints) -> Decimal:
    word = _WORDS.get(text.casefold())
    if word is not None:
        return Decimal(word)
    if hints.approximate:
        text = _ABOUT.sub("", text)
    text, percent = _without_percent(text)
    if percent and not (hints.share or hints.percent):
        raise NumberError(f"{text[:40]} percent may mean a share or its hundredfold")
    text, negative = _signed(text)
    text, negative_inside = _signed(_AROUND.sub("", _AROUND.sub("", text)).strip())
    value = _fraction(text, hints)
    if value is None:
        value = _digits(_UNIT.sub("", text).strip(), hints)
    # Unlike the operator, this does not round to 28 digits.
    value = value.copy_negate() if negative or negative_inside else value
    return value / 100 if percent and hints.share and not hints.percent else value


def _without_percent(text: str) -> tuple[str, bool]:
    stripped = re.sub(r"\s*(?:%|percent|per cent|prozent)$", "", text, flags=re.IGNORECASE)
    return stripped, stripped != text


def _signed(text: str) -> tuple[str, bool]:
    """Return ``text`` without its sign, and whether it is negative: ``-1``, ``1-`` or ``(1)``."""
    if text[:1] == "(" and text[-1:] == ")":
        return text[1:-1].strip(), True
    if text[:1] in ("-", "−", "–"):
        return text[1:].strip(), True
    if text[-1:] in ("-", "−") and text[-2:-1].isdigit():
        return text[:-1].strip(), True
    return text.removeprefix("+").strip(), False


def _fraction(text: str, hints: Hints) -> Decimal | None:
    if hints.share and (scale := _OUT_OF.fullmatch(text)):
        return Decimal(scale[1].replace(",", ".")) / Decimal(scale[2])
    match = _FRACTION.fullmatch(text)
    if match is None:
        return None
    whole, top, bottom = int(match[1] or 0), int(match[2]), int(match[3])
    # Others may be dates, pages or prices of several pieces, or have infinite decimals.
    if bottom not in (2, 4, 8, 16, 32, 64) or (match[1] and top >= bottom):
        raise NumberError(f"{text[:40]} may be a fraction or something else")
    return whole + Decimal(top) / Decimal(bottom)


def _digits(text: str, hints: Hints) -> Decimal:
    if not _DIGITS.fullmatch(text):
        raise NumberError(f"{text[:40]!r} is not a number")
    bare = re.sub(r"(?<=\d)['’ \u00a0\u202f_](?=\d{3}(?!\d))", "", text)
    points, commas = bare.count("."), bare.count(",")
    if points and commas:
        decimal = max(".", ",", key=bare.rfind)
        grouping = "," if decimal == "." else "."
        if bare.count(decimal) > 1:
            raise NumberError(f"{text[:40]} has separators that contradict each other")
        whole, _, decimals = bare.partition(decimal)
        return _joined(_ungrouped(whole, grouping), decimals, text)
    mark = "." if points else ","
    if points + commas > 1:
        return _joined(_ungrouped(bare, mark), "", text)
    if points + commas == 0:
        return _joined(bare, "", text)
    whole, _, decimals = bare.partition(mark)
    if _groups(whole, decimals, mark, hints, grouped=bare != text):
        return _joined(whole + decimals, "", text)
    return _joined(whole or "0", decimals, text)


def _groups(whole: str, decimals: str, mark: str, hints: Hints, *, grouped: bool) -> bool:
    """Return whether a single separator groups thousands, or raise NumberError if unclear."""
    if len(decimals) != 3 or not 1 <= len(whole) <= 3 or whole == "0" or grouped:
        return False
    if hints.integer:
        return True
    if hints.decimal is None or (hints.bare and hints.decimal != mark):
        raise NumberError(
            f"{whole}{mark}{decimals} may be thousands or a decimal; write plain digits"
        )
    return hints.decimal != mark


def _ungrouped(text: str, mark: str) -> str:
    first, *groups = text.split(mark)
    # Indian amounts are grouped by two digits, except for the last three.
    sizes = [len(group) for group in groups]
    if not 1 <= len(first) <= 3 or (
        sizes
        and (sizes[-1] != 3 or any(s not in (2, 3) for s in sizes) or len(set(sizes[:-1])) > 1)
    ):
        raise NumberError(f"{text[:40]} has thousands of other than three digits")
    return "".join((first, *groups))


def _joined(whole: str, decimals: str, text: str) -> Decimal:
    try:
        return Decimal(f"{whole}.{decimals}" if decimals else whole)
    except InvalidOperation:
        raise NumberError(f"{text[:40]!r} is not a number") from None


_COMMA = re.compile(
    r"(?:\d{1,3}(?:[. '’]\d{3})+|\d+),\d{1,2}|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}"
)
_POINT = re.compile(
    r"(?:\d{1,3}(?:[, '’]\d{3})+|\d+)\.\d{1,2}|\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,}"
)


def decimal_separator(texts: Iterable[str]) -> Separator | None:
    """Return the decimal separator of the numbers in ``texts``; None if they differ."""
    seen = set()
    for text in texts:
        if len(text) > 60:
            continue
        bare, _ = _signed(_AROUND.sub("", _AROUND.sub("", text.strip())).strip())
        if _COMMA.fullmatch(bare):
            seen.add(Separator.COMMA)
        elif _POINT.fullmatch(bare):
            seen.add(Separator.POINT)
    return seen.pop() if len(seen) == 1 else None
