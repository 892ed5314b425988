"""Reads times of day as pages write them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TIME = re.compile(
    r"(?:(?:(?P<early>上午|午前|오전)|(?P<late>下午|午後|오후))\s?)?(?<![\d:.,])(?P<hour>\d{1,2})"
    r"(?:(?:[:h時时]|시\s?|\.(?=\d\d\s?(?:[ap]\.?m\b|uhr)))(?P<minute>\d{2})[分분]?)?"
    r"(?::(?P<second>\d{2})(?:\.\d+)?(?:[+-]\d{2}:?\d{2})?)?Z?"
    r"(?:\s?(?P<half>[ap])\.?m\b\.?)?(?![\d:]|[.,]\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Time:
    """A time of day, in minutes or seconds."""

    minutes: int
    """Minutes since midnight."""
    second: int | None = None
    """The second, or None if it is not written."""

    def same(self, other: "Time") -> bool:
        """Return whether both may mean the same time."""
        seconds = {self.second, other.second} - {None}
        return self.minutes == other.minutes and len(seconds) < 2


def times(text: str) -> Iterator[tuple[int, int, Time]]:
    """Yield the start, end and value of each time of day in ``text``."""
    for match in _TIME.finditer(text):
        time = _time(match)
        if time is not None:
            yield match.start(), match.end(), time


def _time(match: re.Match[str]) -> Time | None:
    hour, half = int(match["hour"]), (match["half"] or "").casefold()
    half = half or ("a" if match["early"] else "p" if match["late"] and hour <= 12 else "")
    minute, second = int(match["minute"] or 0), match["second"]
    # A bare number is not a time.
    if not (match["minute"] or half) or minute > 59 or hour > (12 if half else 23):
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return Time(60 * hour + minute, None if second is None else int(second))
