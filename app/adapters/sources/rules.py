"""The URLs that may be fetched, by scheme, host and port of the URL that is then requested."""

from dataclasses import dataclass

import httpx

from app.domain.errors import ImageUrlNotAllowedError

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class UrlRules:
    """An allow-list of URLs; all others are refused."""

    hosts: tuple[str, ...]
    """``host``, ``host:port``, or ``*.domain`` for the subdomains of a domain."""
    allow_http: bool = False
    purpose: str = "fetch pictures from"
    """The use of the URLs, as a refusal words it."""

    def check(self, url: httpx.URL) -> None:
        """Check that ``url`` may be fetched, or raise ImageUrlNotAllowedError."""
        schemes = ("https", "http") if self.allow_http else ("https",)
        if url.scheme not in schemes:
            raise ImageUrlNotAllowedError(f"only {' and '.join(schemes)} URLs are accepted")
        if url.userinfo:
            raise ImageUrlNotAllowedError("a URL with a user name or password is not accepted")
        if not self._allows(host_of(url), url.port or _PORTS[url.scheme], _PORTS[url.scheme]):
            raise ImageUrlNotAllowedError(
                f"{url.netloc.decode('ascii')} is not among the hosts that this service may "
                f"{self.purpose}"
            )

    def _allows(self, host: str, port: int, usual_port: int) -> bool:
        return any(_matches(entry.lower(), host, port, usual_port) for entry in self.hosts if host)


def parse(text: str) -> httpx.URL:
    """Read a URL, or raise ImageUrlNotAllowedError."""
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise ImageUrlNotAllowedError("is not a URL that can be read") from error


def join(base: httpx.URL, location: str) -> httpx.URL:
    """Read a redirect's target, or raise ImageUrlNotAllowedError."""
    try:
        return base.join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise ImageUrlNotAllowedError("redirects to a URL that can't be read") from error


def host_of(url: httpx.URL) -> str:
    """Return the host in ASCII and lower case, without the root's dot."""
    return url.raw_host.decode("ascii").lower().removesuffix(".")


def _matches(entry: str, host: str, port: int, usual_port: int) -> bool:
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and not name.endswith(":"):
        entry, usual_port = name.strip("[]"), int(number)
    if port != usual_port:
        return False
    return host.endswith(entry[1:]) if entry.startswith("*.") else host == entry
