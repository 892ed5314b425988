"""Tells whether the connection to a store can't be listened to: it is encrypted or local."""

import os
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

_CHECKED = ("require", "verify-ca", "verify-full")
"""Values of PostgreSQL's ``sslmode`` that this service treats as ``verify-full``."""


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def redis_is_safe(url: str) -> bool:
    """Tell whether traffic to Redis is encrypted or stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "rediss" or is_loopback(parts.hostname or "")


def postgres_is_safe(url: str) -> bool:
    """Tell whether traffic to PostgreSQL is encrypted or stays on this machine."""
    options = dict(parse_qsl(urlsplit(url).query))
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE", "")
    return mode in _CHECKED or all(map(_is_here, _postgres_hosts(url, options)))


def _postgres_hosts(url: str, options: dict[str, str]) -> list[str]:
    """Return the hosts of a URL, which may name several; libpq's default if it names none."""
    netloc = urlsplit(url).netloc.rpartition("@")[2]
    named = options.get("host") or netloc or os.environ.get("PGHOST", "localhost")
    return [_without_port(host) for host in named.split(",")]


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdigit() or not port) and not name.endswith(":") else host


def _is_here(host: str) -> bool:
    # A path is a socket of this machine, and so is libpq's default, which an empty host stands for.
    return not host or host.startswith(("/", "%2F")) or is_loopback(host)
