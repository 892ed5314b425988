# ruff: noqa: RUF001 - reads the signs that people write
"""Decides whether two texts with the same digits mean the same numbers."""

import re
import unicodedata
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

_LAKHS = re.compile(r"(?<=\d),(?=(?:\d\d,)+\d{3}(?!\d))")
_THOUSANDS = re.compile(r"(?<=\d)[.,'’\s](?=\d{3}(?:[.,'’\s]\d{3})*+(?!\d|[.,'’\s]\d{4}))")
"""Matches marks of thousands, but not those of 555.123.4567, where four digits show a code."""
_CLUSTER = re.compile(r"\d+(?:[\W_]+\d+)*")
_MINUS = re.compile(r"(?<![\w.,)])[-−–](?=[$€£¥]?\d)")
_DASH = re.compile("[-\u2010-\u2015\u2212]")
_MARKS = re.compile(r"[.,:/^]")
CODE = 7
"""Minimum digits of a code, such as a telephone number or an account, that spaces may group."""


TELEPHONE = 9
"""Minimum digits of a code in several groups whose groups may be split in other places."""


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Groups of digits without letters between them, and the gaps between the groups."""

    groups: Sequence[str]
    gaps: Sequence[str]

    @property
    def ends(self) -> dict[int, str]:
        """Map the number of digits up to each group's end to the marks that follow."""
        lengths = accumulate(map(len, self.groups[:-1]))
        return dict(zip(lengths, self.gaps, strict=True))


def same_figures(one: str, other: str) -> bool:
    """Return whether two texts with the same letters and digits mean the same numbers.

    Grouping of thousands and of codes does not matter. A decimal sign, a minus, another currency
    and an additional number do.
    """
    signs = _currencies(one), _currencies(other)
    if all(signs) and signs[0] != signs[1]:
        return False
    if _minuses(one) != _minuses(other):
        return False
    own, others = _clusters(one), _clusters(other)
    return len(own) == len(others) and all(map(_same, own, others))


def _clusters(text: str) -> list[_Cluster]:
    plain = _THOUSANDS.sub("", _LAKHS.sub("", text))
    return [
        _Cluster(re.findall(r"\d+", part[0]), re.findall(r"[\W_]+", part[0]))
        for part in _CLUSTER.finditer(plain)
    ]


def _same(one: _Cluster, other: _Cluster) -> bool:
    if one.groups == other.groups:
        # Between three or more groups, as in a date or a telephone number, any mark will do.
        if len(one.groups) > 2:
            return True
        code = sum(map(len, one.groups)) >= CODE
        return all(_alike(*pair, code=code) for pair in zip(one.gaps, other.gaps, strict=True))
    ends, others = one.ends, other.ends
    return _regrouped(one, ends, others) or _regrouped(other, others, ends)


def _regrouped(coarse: _Cluster, ends: dict[int, str], fine: dict[int, str]) -> bool:
    """Return whether ``fine`` only splits codes of ``coarse`` by spaces and hyphens."""
    if not ends.keys() <= fine.keys():
        return False
    starts = [0, *ends]
    telephone = len(coarse.groups) > 1 and sum(map(len, coarse.groups)) >= TELEPHONE
    return all(
        (telephone or len(coarse.groups[bisect(starts, place) - 1]) >= CODE)
        and not _MARKS.search(gap)
        for place, gap in fine.items()
        if place not in ends
    )


def _alike(one: str, other: str, *, code: bool) -> bool:
    marks = set(_MARKS.findall(one)), set(_MARKS.findall(other))
    if code:
        # 030/5550199 is the same as 030 5550199.
        marks = marks[0] - {"/"}, marks[1] - {"/"}
    elif bool(_DASH.search(one)) != bool(_DASH.search(other)):
        # 5-10 is a range or a code, 5 10 are two numbers.
        return False
    return marks[0] == marks[1] or marks[0] | marks[1] in ({".", ","}, {".", ":"})


def _minuses(text: str) -> list[int]:
    """Return the number of digits before each minus sign."""
    return [sum(map(str.isdigit, text[: sign.start()])) for sign in _MINUS.finditer(text)]


def _currencies(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) == "Sc"}
