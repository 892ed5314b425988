"""Checks of a request's host name, and of the site whose page sent it."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.api.routing.headers import Headers
from app.domain.errors import HostNotAllowedError, OriginNotAllowedError

SAFE = (b"same-origin", b"none")
"""Values of Sec-Fetch-Site for requests by the service's own pages and by the user."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Refuses requests that a foreign page made someone's browser send.

    A page can send forms and plain text to any address that its visitor reaches, without a CORS
    preflight. If it makes its own domain resolve to this service, it can read the answers as well.
    """

    hosts: tuple[str, ...]
    """Accepted host names, with ``*`` for any part; empty if any is accepted."""
    origins: frozenset[bytes]
    """Origins whose pages may call the service."""

    def check(self, method: str, headers: Headers) -> None:
        """Raise HostNotAllowedError or OriginNotAllowedError if the request is not allowed."""
        # Every browser sends Host.
        host = headers.get(b"host", b"")
        if self.hosts and host and not self._allowed(host):
            raise HostNotAllowedError(
                "the name in Host is not one of LLAMA_VISION_ALLOWED_HOSTS, which lists this "
                "service's names"
            )
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if (origin is None and site is None) or origin in self.origins or site in SAFE:
            return
        if _foreign(origin, site, host) and not _followed_link(method, headers):
            raise OriginNotAllowedError(
                "pages of that origin may not call this service; LLAMA_VISION_CORS_ORIGINS lists "
                "those that may"
            )

    def _allowed(self, host: bytes) -> bool:
        name = _name(host)
        return any(name == allowed or fnmatchcase(name, allowed) for allowed in self.hosts)


def _foreign(origin: bytes | None, site: bytes | None, host: bytes) -> bool:
    if origin is None:
        return site == b"cross-site"
    # Split by hand: a URL parser raises on many texts, none of which a browser sends.
    name = origin.partition(b"://")[2].partition(b"/")[0]
    return name.lower() != host.lower()


def _followed_link(method: str, headers: Headers) -> bool:
    """Tell whether the user followed a link, whose target the linking site can't read."""
    return method in ("GET", "HEAD") and headers.get(b"sec-fetch-mode") == b"navigate"


def _name(host: bytes) -> str:
    """Return the name in a Host header, in lower case and without the port."""
    name, colon, port = host.decode("latin-1").lower().rpartition(":")
    return name if colon and (port.isdigit() or not port) else f"{name}{colon}{port}"
