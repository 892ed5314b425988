"""Types that settings of several topics share."""

import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl
from pydantic_settings import NoDecode

MIB = 1024 * 1024

MOST = 2**50
"""Upper bound of counts and bytes: databases and clocks take no arbitrarily large numbers."""
Count = Annotated[int, Field(gt=0, le=MOST)]
Bytes = Count
LEAST = 1000
"""Lower bound of limits in bytes or pixels: practically every picture has more."""
Processes = Annotated[int, Field(gt=0, le=1024)]
MOST_SECONDS = 10**9
"""Thirty years: the sum of a time and a setting has to remain a valid time."""
Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS)]


def split(value: object) -> object:
    """Split a text at its commas; return any other value as it is."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1)]


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


Text = Annotated[str, AfterValidator(_filled)]
Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(split)]


def _model_name(name: str) -> str:
    if re.search(r"""[\s"'[\]{}]""", name):
        raise ValueError(f"{name!r} is no model's name; names are separated by commas alone")
    return name


ModelNames = Annotated[
    tuple[Annotated[Name, AfterValidator(_model_name)], ...], NoDecode, BeforeValidator(split)
]


_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def _region(name: str) -> str:
    if not _REGION.fullmatch(name):
        raise ValueError(f"{name!r} is not an AWS region such as us-west-2")
    return name


Region = Annotated[str, AfterValidator(_region)]
Regions = Annotated[tuple[Region, ...], NoDecode, BeforeValidator(split)]


def _endpoint(url: HttpUrl) -> HttpUrl:
    if url.query is not None or url.fragment is not None:
        raise ValueError("has a query or fragment, which would be ignored")
    return url


Endpoint = Annotated[HttpUrl, AfterValidator(_endpoint)]
"""A URL that is called instead of a service's own."""

_HOST = re.compile(
    r"((\*\.)?[\w-]+(\.[\w-]+)*\.?|\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:]*::[0-9a-fA-F:.]*)(:(?P<port>\d{1,5}))?"
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^*]*)?")
_LAST_PORT = 65535


def check_hosts(name: str, hosts: Iterable[str] | None) -> None:
    """Raise ValueError if an entry of the setting ``name`` could match no host."""
    for host in hosts or ():
        match = _HOST.fullmatch(host)
        if match is None or not 0 < int(match["port"] or 1) <= _LAST_PORT:
            raise ValueError(
                f"{name}: {host!r} is not host, host:port or *.domain, without a scheme or path"
            )


def check_buckets(name: str, buckets: Iterable[str] | None) -> None:
    """Raise ValueError if an entry of the setting ``name`` could match no bucket of S3."""
    for bucket in buckets or ():
        if not _BUCKET.fullmatch(bucket):
            raise ValueError(
                f"{name}: {bucket!r} is not bucket or bucket/prefix, without s3:// and *; a "
                "bucket's name has 3 to 63 small letters, digits, dots and hyphens"
            )


def is_installed(package: str) -> bool:
    """Tell whether an optional package can be imported, without importing it."""
    return find_spec(package) is not None
