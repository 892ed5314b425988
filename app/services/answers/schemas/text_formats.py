"""Formats of texts, without the few values that JSON Schema allows and clients' types can't read.

A year 0, a leap second, an ``http`` address without a host: an SDK would raise on an answer that is
paid for.
"""

from collections.abc import Callable
from datetime import date, datetime, time
from urllib.parse import urlsplit

import jsonschema_rs

EMAIL = jsonschema_rs.EmailOptions(require_tld=True)


def _address(text: str) -> None:
    """Raise ValueError for a web address without a host, or with a port that there is not."""
    parts = urlsplit(text)
    if parts.scheme.lower() in ("http", "https") and not parts.hostname:
        raise ValueError("no host")
    _ = parts.port


_READERS: dict[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "date-time": lambda text: datetime.fromisoformat(text.upper()),
    "time": lambda text: time.fromisoformat(text.upper()),
    "uri": _address,
}


def _format(name: str, read: Callable[[str], object]) -> Callable[[str], bool]:
    valid = jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True).is_valid

    def readable(text: str) -> bool:
        if not valid(text):
            return False
        try:
            read(text)
        except ValueError:
            return False
        return True

    return readable


FORMATS = {name: _format(name, read) for name, read in _READERS.items()}
"""Predicates that check a text against a format, by the format's name."""
