# ruff: noqa: RUF001 - signs that people write are what this is about
"""Whether two texts with the same digits say the same numbers."""

import re
import unicodedata
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

_LAKHS = re.compile(r"(?<=\d),(?=(?:\d\d,)+\d{3}(?!\d))")
_THOUSANDS = re.compile(r"(?<=\d)[.,'’\s](?=\d{3}(?:[.,'’\s]\d{3})*+(?!\d|[.,'’\s]\d{4}))")
"""Not those of 555.123.4567: four digits behind a mark are a code's."""
_CLUSTER = re.compile(r"\d+(?:[\W_]+\d+)*")
_MINUS = re.compile(r"(?<![\w.,)])[-−–](?=[$€£¥]?\d)")
_MARKS = re.compile(r"[.,:/]")
CODE = 7
"""Digits from which a number is a code, of a telephone or a bank, which spaces and hyphens part."""


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Digits without letters between them, and what is between them instead."""

    groups: Sequence[str]
    gaps: Sequence[str]

    @property
    def ends(self) -> dict[int, str]:
        """After how many digits a group ends, and which marks come there."""
        lengths = accumulate(map(len, self.groups[:-1]))
        return dict(zip(lengths, self.gaps, strict=True))


def same_figures(one: str, other: str) -> bool:
    """Whether texts whose letters and digits are the same mean the same numbers by them.

    Thousands may be parted or not, codes as well; a decimal sign, a minus, another currency and
    another number beside it make a difference.
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
        # Of three or more, a date's or a telephone's, any sign is as good.
        if len(one.groups) > 2:
            return True
        code = sum(map(len, one.groups)) >= CODE
        return all(_alike(*pair, code=code) for pair in zip(one.gaps, other.gaps, strict=True))
    ends, others = one.ends, other.ends
    return _regrouped(one, ends, others) or _regrouped(other, others, ends)


def _regrouped(coarse: _Cluster, ends: dict[int, str], fine: dict[int, str]) -> bool:
    """Whether ``fine`` only parts codes of ``coarse``, by spaces and hyphens."""
    if not ends.keys() <= fine.keys():
        return False
    starts = [0, *ends]
    return all(
        len(coarse.groups[bisect(starts, place) - 1]) >= CODE and not _MARKS.search(gap)
        for place, gap in fine.items()
        if place not in ends
    )


def _alike(one: str, other: str, *, code: bool) -> bool:
    marks = set(_MARKS.findall(one)), set(_MARKS.findall(other))
    if code:
        # 030/5550199 is 030 5550199.
        marks = marks[0] - {"/"}, marks[1] - {"/"}
    return marks[0] == marks[1] or marks[0] | marks[1] in ({".", ","}, {".", ":"})


def _minuses(text: str) -> list[int]:
    """Return after how many digits each minus stands."""
    return [sum(map(str.isdigit, text[: sign.start()])) for sign in _MINUS.finditer(text)]


def _currencies(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) == "Sc"}
