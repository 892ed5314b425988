"""Checks of text formats, stricter than JSON Schema so that clients' types can read the values.

An SDK would raise on a paid answer with a year 0, a leap second or an ``http`` URL without a host.
Formats that are types' own, such as pydantic's, are checked the way those types read them.
"""

import ipaddress
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable
from datetime import date, datetime, time
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID

import jsonschema_rs
import orjson

EMAIL = jsonschema_rs.EmailOptions(require_tld=True)


def _address(text: str) -> None:
    """Raise ValueError for a URL without a host or with an invalid port."""
    parts = urlsplit(text)
    if parts.scheme.lower() in ("http", "https") and not parts.hostname:
        raise ValueError("no host")
    _ = parts.port


def _uuid(version: int, text: str) -> None:
    if UUID(text).version != version:
        raise ValueError("another version")


def _database(text: str) -> None:
    """Raise ValueError for a database URL without a scheme or address."""
    scheme, _, rest = text.partition("://")
    if not (scheme and rest):
        raise ValueError("no address")


_READERS: dict[str, Callable[[str], object]] = {
    "base64": partial(b64decode, validate=True),
    "base64url": urlsafe_b64decode,
    "ipv4interface": ipaddress.IPv4Interface,
    "ipv4network": ipaddress.IPv4Network,
    "ipv6interface": ipaddress.IPv6Interface,
    "ipv6network": ipaddress.IPv6Network,
    "ipvanyaddress": ipaddress.ip_address,
    "ipvanyinterface": ipaddress.ip_interface,
    "ipvanynetwork": ipaddress.ip_network,
    "json-string": orjson.loads,
    "multi-host-uri": _database,
    **{f"uuid{version}": partial(_uuid, version) for version in range(1, 9)},
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
"""Predicates that check a text, by format name."""
