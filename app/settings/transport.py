"""Whether the connection to a store's address is protected from listeners."""

import os
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

_CHECKED = ("require", "verify-ca", "verify-full")
"""PostgreSQL's ``sslmode``s that this service takes for ``verify-full``."""


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def redis_is_safe(url: str) -> bool:
    """Tell whether what goes to a Redis is encrypted, or stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "rediss" or is_loopback(parts.hostname or "")


def postgres_is_safe(url: str) -> bool:
    """Tell whether what goes to a PostgreSQL is encrypted, or stays on this machine."""
    options = dict(parse_qsl(urlsplit(url).query))
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE", "")
    return mode in _CHECKED or all(map(_is_here, _postgres_hosts(url, options)))


def _postgres_hosts(url: str, options: dict[str, str]) -> list[str]:
    """Return the hosts of an address, which may name several, or none where libpq's word counts."""
    netloc = urlsplit(url).netloc.rpartition("@")[2]
    named = options.get("host") or netloc or os.environ.get("PGHOST", "localhost")
    return [_without_port(host) for host in named.split(",")]


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdigit() or not port) and not name.endswith(":") else host


def _is_here(host: str) -> bool:
    # A path is a socket of this machine; an empty one is libpq's default, which is such a path.
    return not host or host.startswith(("/", "%2F")) or is_loopback(host)
