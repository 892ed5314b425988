# ruff: noqa: RUF001 - reads the signs that people write
"""Reads amounts as pages write them: numbers with their signs, currencies and units."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from app.services.answers.text.numbers import CURRENCY, Hints, NumberError, Separator, number
from app.services.evidence.letters import is_spaceless

_DIGITS = (
    r"(?<![\d.,/^])10\^[-−]?\d{1,2}(?!\d)"
    r"|(?:\d{1,3} )?(?<![\d.,/])[1357]/(?:2|4|8|16)(?![\d/])|\d(?:\.\d+)?e[+-]?\d{1,2}(?!\w)"
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?|\d+(?:[.,'’ ]\d{3}(?!\d))*(?:[.,]\d+)?(?: ?[½¼¾])?|[½¼¾]"
    r"|(?<![\w.,])\.\d+"
)
_LETTERED = (
    r"(?P<e3>(?-i:(?<=\d)[kK])|thousand|tsd\.?|тыс(?:\.|яч[аи]?)?)"
    r"|(?P<e5>lakhs?|lacs?)"
    r"|(?P<e6>(?(before)m|(?-i:(?<=\d)M))|mln|mio\.?|mill?i[oó]n(?:s|en|es|e|i|y|ów)?|milhão|milhões|miljoen"
    r"|млн|миллион(?:а|ов)?)"
    r"|(?P<e7>crores?)"
    r"|(?P<e9>(?(before)b|(?-i:(?<=\d)B))|bn|mrd\.?|mld\.?|md|billions?|mill?iard(?:s|a|en|e|i|y|ów)?|miljard|млрд"
    r"|миллиард(?:а|ов)?)"
    r"|(?P<e12>tn|trn|trillions?|billionen|bio\.|трлн|триллион(?:а|ов)?)"
)
_POWERS = dict(
    zip("十百백千천万萬만億亿억兆조", (1, 2, 2, 3, 3, 4, 4, 4, 8, 8, 8, 12, 12), strict=True)
)
"""Signs that multiply a number in Chinese, Japanese and Korean: 百万 is a million."""
_SCALE = (
    rf"\s?(?:{_LETTERED})(?!\w)|\s?(?P<signs_of_power>[{''.join(_POWERS)}]+)(?!\s?\d)"
    r"|\s?[x*·]\s?10\^(?P<power>[-−]?\d{1,2})(?!\d)"
)
"""Matches powers of ten that multiply a number. A small ``m`` without a currency means metres."""
_EXPONENTS = (3, 5, 6, 7, 9, 12)
_MINUS = ("-", "−", "–")
_JOINED = r"\b(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|INR|RM|Rs|kr)(?=\d)"
_JOINED_BEHIND = r"(?<=\d)(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|INR|RM|Rs|kr)\b|[円元원]"
_AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<sign>[-+−–]\s?)?(?P<before>{CURRENCY}\s?|{_JOINED})?(?P<inner>[-+−–])?"
    rf"(?P<digits>{_DIGITS})(?P<scale>{_SCALE})?(?P<behind>[-−](?![\w.,]))?"
    rf"(?P<after>\s?(?:{CURRENCY}|{_JOINED_BEHIND}|%|percent\b|per cent\b|prozent\b))?"
    r"(?P<close>\)(?P<outer>\s?%)?)?",
    re.IGNORECASE,
)
_JOINS_LEFT = re.compile(r"\w[,/-]$|\d\^$|\d[.:]$|(?<!\w)\w\.$")
"""Matches the end of a part of a date, time or code before a number: ``A-15``, not ``No.5``."""
_COUNTED = frozenset("年月日時时分秒号년월일시분").union(_POWERS)
"""Signs after a number that make it a part of a date, a time or a longer number."""
_JOINS_RIGHT = re.compile(r"[.,/:-]\w|\^")
_UNIT = re.compile(
    r"(?:st|nd|rd|th|kg|g|mg|lbs?|oz|km|cm|mm|m|ft|in|l|ml|cl|pcs|x|kWh|kW|W|V|h|min|s|°C|°F|°)(?!\w)",
    re.IGNORECASE,
)
_CURRENCIES = tuple(
    frozenset(names.split())
    for names in (
        "€ eur euro euros", "£ gbp pound pounds", "₹ inr rs rupee rupees", "r$ brl",
        "¥ jpy cny rmb yen 円 元", "us$ $ usd dollar dollars", "a$ $ aud dollar dollars",
        "c$ ca$ $ cad dollar dollars", "$ nzd sgd hkd mxn dollar dollars", "kr sek", "kr nok",
        "kr dkk", "zł pln", "kč czk", "ft huf", "lei ron", "rm myr", "rp idr", "฿ thb", "₩ krw 원",
        "₽ rub", "₺ try", "₫ vnd", "₴ uah", "₱ php",
    )
)  # fmt: skip
"""Sets of names and signs of one currency; ``$`` and ``kr`` belong to several currencies."""
_KNOWN = frozenset().union(*_CURRENCIES)
_NAMED = re.compile(rf"{CURRENCY}|[円元원]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as written and the values that it may mean."""

    values: frozenset[float]
    currency: str | None = None
    """The name or sign of the currency as written, folded; None if there is none."""
    text: str = ""
    digits: str = ""
    """The digits without sign and currency."""
    start: int = 0
    end: int = 0
    following: str = ""
    """A currency or percent sign after the number."""

    @property
    def is_code(self) -> bool:
        """Return whether it has leading zeros like the code ``00123``, whose digits all matter."""
        return re.match(r"0\d", self.digits) is not None

    @property
    def unsigned(self) -> str:
        """Return the digits if no sign makes the number negative, else an empty text."""
        return "" if self.text[:1] in (*_MINUS, "(") or self.text[-1:] in _MINUS else self.digits

    def same(self, other: "Amount") -> bool:
        """Return whether both may mean the same value."""
        return bool(self.values & other.values) and same_currency(self.currency, other.currency)


def amounts(text: str) -> Iterator[Amount]:
    """Yield the numbers in ``text``, which may overlap: ``2 350.00`` yields three."""
    place = 0
    while match := _AMOUNT.search(text, place):
        if _is_whole(text, match):
            yield from _amounts(match)
        first, _, rest = match["digits"].partition(" ")
        # A space may group thousands or separate two numbers.
        if rest and not _is_fraction(rest):
            yield from _first_only(text, match, first)
            place = match.start("digits") + len(first)
        else:
            place = max(match.end("digits"), place + 1)


def written(text: str) -> Amount | None:
    """Return the number that is the whole of ``text``, or None."""
    match = _AMOUNT.fullmatch(text)
    return next(_amounts(match), None) if match else None


def _first_only(text: str, match: re.Match[str], first: str) -> Iterator[Amount]:
    end = match.start("digits") + len(first)
    alone = _AMOUNT.match(text, match.start(), end)
    if alone and _is_whole(text, alone):
        yield from _amounts(alone)


def _is_fraction(rest: str) -> bool:
    return rest in ("½", "¼", "¾") or "/" in rest


def _amounts(match: re.Match[str]) -> Iterator[Amount]:
    # Twelve million is not twelve.
    power = _power(match)
    values = frozenset(float(Decimal(repr(value)).scaleb(power)) for value in _values(match))
    if not values:
        return
    last = match.end("scale" if match["scale"] else "digits")
    signs = [match[name] for name in ("before", "after")]
    currencies = [s.strip(" .").casefold() for s in signs if s and not _is_percent(s)]
    bracketed = match["open"] and match["close"]
    start = match.start() + (0 if bracketed or not match["open"] else 1)
    end = match.end() if bracketed else match.end("behind") if match["behind"] else last
    yield Amount(
        values,
        currencies[0] if currencies else None,
        match.string[start:end].strip(),
        match.string[match.start("digits") : last],
        start,
        end,
        "" if bracketed else match["after"] or "",
    )


def _power(match: re.Match[str]) -> int:
    """Return the power of ten that multiplies the number."""
    if match["power"]:
        return int(match["power"].replace("−", "-"))
    if match["signs_of_power"]:
        return sum(_POWERS[sign] for sign in match["signs_of_power"])
    return next((power for power in _EXPONENTS if match[f"e{power}"]), 0)


def _values(match: re.Match[str]) -> Iterator[float]:
    digits = match["digits"]
    minus = any((match[name] or "").strip() in _MINUS for name in ("sign", "inner", "behind"))
    bracketed = bool(match["open"] and match["close"])
    # A number in brackets is either negative or a remark.
    percent = _is_percent(match["after"] or match["outer"])
    remark = bracketed and (
        _is_percent(match["after"])
        or (digits.isdigit() and not (match["before"] or match["after"] or match["outer"]))
    )
    for value in dict.fromkeys(_meanings(digits)):
        for shown in (value, value / 100) if percent else (value,):
            if minus or bracketed:
                yield -shown
            if not (minus or bracketed) or remark:
                yield shown
        # A dash followed by a space may not be a sign.
        if minus and (match["sign"] or "").endswith(" "):
            yield value


def _meanings(digits: str) -> Iterator[float]:
    """Yield the possible values, two if the mark may be a decimal or a thousands separator."""
    if "e" in digits.casefold():
        yield float(digits)
        return
    if "^" in digits:
        yield float(Decimal(1).scaleb(int(digits.partition("^")[2].replace("−", "-"))))
        return
    for decimal in (None, Separator.POINT, Separator.COMMA):
        try:
            yield float(number(digits, Hints(decimal=decimal)))
        except (NumberError, OverflowError):
            continue


def _is_percent(sign: str | None) -> bool:
    return bool(sign) and str(sign).strip().casefold() in ("%", "percent", "per cent", "prozent")


def _is_whole(text: str, match: re.Match[str]) -> bool:
    """Return whether a number is not part of a longer number, a word, a date or a time."""
    start, end = match.start("digits"), match.end("digits")
    for name in ("inner", "before", "sign"):
        if match[name]:
            start = match.start(name)
    before, after = text[max(0, start - 3) : start], text[end : end + 2]
    if match["behind"] or match["scale"] or match["after"] or _UNIT.match(text, end):
        after = ""
    if _joins(before[-1:]) or _joins(after[:1]):
        return False
    return not (_JOINS_LEFT.search(before) or _JOINS_RIGHT.match(after))


def _joins(char: str) -> bool:
    """Return whether a letter beside digits joins them to a word, as in scripts with spaces."""
    return char.isalnum() and (char in _COUNTED or not is_spaceless(char))


def currencies(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the start, end and folded name or sign of each currency in ``text``."""
    for match in _NAMED.finditer(text):
        if (name := match[0].strip(" .").casefold()) in _KNOWN:
            yield match.start(), match.end(), name


def same_currency(one: str | None, other: str | None) -> bool:
    """Return whether two names or signs may mean the same currency; None means any."""
    if one is None or other is None or one == other:
        return True
    return any({one, other} <= names for names in _CURRENCIES)
