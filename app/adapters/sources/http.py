"""Pictures by URL: allow-listed hosts, at addresses that were checked, within bounds."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.adapters.http1.resolver import Resolver
from app.adapters.sources import errors, rules
from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.clock import timed
from app.adapters.sources.pinned_transport import PinnedTransport, Resolve
from app.adapters.sources.rules import UrlRules
from app.adapters.trust import trusted
from app.domain.errors import (
    ImageSourceDeniedError,
    ImageSourceNotFoundError,
    ImageSourceUnavailableError,
    ImageTooLargeError,
    ImageTooManyRedirectsError,
    UnsupportedImageTypeError,
)
from app.domain.image import ReceivedImage, UrlImage
from app.domain.ports import Arrival

MAX_REDIRECTS = 3
MAX_CONNECTIONS = 32
CHUNK_BYTES = 64 * 1024

# Types that servers declare for files whose type they don't know.
_UNTYPED = ("", "application/octet-stream", "binary/octet-stream")


def resolving(resolver: Resolver) -> Resolve:
    """Return a function that asks ``resolver`` for a host's addresses, or raises OSError.

    Callers choose the hosts: however slow their names are to look up, the threads that do it are
    nobody else's.
    """

    async def resolve(host: str) -> Sequence[str]:
        infos = await resolver.resolve(host, 0)
        return list(dict.fromkeys(str(entry[4][0]) for entry in infos))

    return resolve


@asynccontextmanager
async def open_transport(
    authorities: Path | None = None,
) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """Open the transport; the file ``authorities`` replaces the usual certificate authorities."""
    transport = httpx.AsyncHTTPTransport(
        verify=trusted(authorities),
        trust_env=False,
        # A connection is known by its address, which several hosts may share: used again, it
        # would carry one host's request over another host's certificate.
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
    )
    async with transport:
        yield transport


@dataclass(frozen=True, slots=True)
class HttpImageSource:
    """Fetches pictures over HTTP, and verifies every redirect and address."""

    transport: httpx.AsyncBaseTransport
    rules: UrlRules
    max_bytes: int
    timeout: float
    """Seconds for all of it: resolving, redirects, reading."""
    addresses: AddressPolicy
    resolve: Resolve

    async def fetch(self, image: UrlImage, arrival: Arrival) -> ReceivedImage:
        """Return the picture's bytes and declared type, or raise an ImageError."""
        with errors.from_http():
            async with timed(self.timeout, arrival) as counted:
                return await self._follow(rules.parse(image.url), image.name, counted)

    async def _follow(self, url: httpx.URL, name: str, arrival: Arrival) -> ReceivedImage:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._pinned().send("GET", url, {"Accept": "image/*"}) as response:
                if not response.has_redirect_location:
                    return await self._read(response, name, arrival)
                url = rules.join(url, response.headers["location"])
        raise ImageTooManyRedirectsError(f"redirects more than {MAX_REDIRECTS} times")

    def _pinned(self) -> PinnedTransport:
        return PinnedTransport(
            self.transport, self.rules, self.timeout, self.addresses, self.resolve
        )

    async def _read(self, response: httpx.Response, name: str, arrival: Arrival) -> ReceivedImage:
        check_status(response.status_code)
        declared = declared_type(response.headers)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_bytes:
            raise self._too_large()
        data = bytearray()
        async for chunk in response.aiter_raw(CHUNK_BYTES):
            if len(data) + len(chunk) > self.max_bytes:
                raise self._too_large()
            await arrival.grow_to(len(data) + len(chunk))
            data += chunk
        return ReceivedImage(bytes(data), declared, name)

    def _too_large(self) -> ImageTooLargeError:
        return ImageTooLargeError(f"has more than {self.max_bytes:,} bytes, the most accepted")


def check_status(status: int) -> None:
    """Raise the error for a status other than 200 of the picture's host."""
    match status:
        case 200:
            return
        case 404 | 410:
            raise ImageSourceNotFoundError(f"its host answered {status}")
        case 401 | 403:
            raise ImageSourceDeniedError(f"its host answered {status}; this service has no login")
        case _:
            raise ImageSourceUnavailableError(f"its host answered {status} instead of 200")


def declared_type(headers: httpx.Headers) -> str | None:
    """Return the picture's declared media type, or raise if it is declared to be none."""
    declared: str = headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedImageTypeError("its host sent it compressed without being asked to")
    if declared in _UNTYPED:
        return None
    if not declared.startswith("image/"):
        raise UnsupportedImageTypeError(f"its host declares it as {declared[:100]}, not an image")
    return declared
