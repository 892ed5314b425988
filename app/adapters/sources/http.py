"""Pictures by URL: allow-listed hosts, at addresses that were checked, within bounds."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.adapters.http1.resolver import Resolver
from app.adapters.sources import errors, rules
from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.clock import timed
from app.adapters.sources.rules import UrlRules, host_of
from app.adapters.trust import trusted
from app.domain.errors import (
    ImageAddressForbiddenError,
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

# What servers say of a file when they don't know its type.
_UNTYPED = ("", "application/octet-stream", "binary/octet-stream")

Resolve = Callable[[str], Awaitable[Sequence[str]]]


def resolving(resolver: Resolver) -> Resolve:
    """Return what asks ``resolver`` for a host's addresses, or raises OSError.

    Callers choose the hosts: however slow their names are to look up, the threads that do it are
    nobody else's.
    """

    async def resolve(host: str) -> Sequence[str]:
        found = await resolver.resolve(host, 0)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    return resolve


@asynccontextmanager
async def open_transport(
    authorities: Path | None = None,
) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """Open what sends the requests; ``authorities``, a file, replace the usual ones."""
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
    """Fetches pictures over HTTP, and trusts nothing that it is told on the way."""

    # Not a client: that would keep cookies between callers, follow proxies of the environment
    # and unpack bodies without a bound.
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
            async with self._response(url) as response:
                if not response.has_redirect_location:
                    return await self._read(response, name, arrival)
                url = rules.join(url, response.headers["location"])
        raise ImageTooManyRedirectsError(f"redirects more than {MAX_REDIRECTS} times")

    @asynccontextmanager
    async def _response(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        self.rules.check(url)
        response = await self._send(url, await self._permitted(url))
        try:
            yield response
        finally:
            await response.aclose()

    async def _permitted(self, url: httpx.URL) -> Sequence[str]:
        """Resolve once; what was checked here is what is connected to."""
        found = await self.resolve(host_of(url))
        # One bad address among good ones is a trap, or a mistake that comes to the same.
        if not found or not all(map(self.addresses.permits, found)):
            raise ImageAddressForbiddenError(
                f"{host_of(url)} has an address that is not on the public internet"
            )
        return found

    async def _send(self, url: httpx.URL, addresses: Sequence[str]) -> httpx.Response:
        *others, last = addresses
        for address in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self.transport.handle_async_request(self._pinned(url, address))
        return await self.transport.handle_async_request(self._pinned(url, last))

    def _pinned(self, url: httpx.URL, address: str) -> httpx.Request:
        """Return a request that goes to ``address`` but asks for, and verifies, the URL's host."""
        return httpx.Request(
            "GET",
            url.copy_with(host=address),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept": "image/*",
                # Compressed bodies could unpack beyond any bound.
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
            extensions={
                "sni_hostname": host_of(url),
                # So that a dead address leaves time for the host's next one.
                "timeout": httpx.Timeout(self.timeout, connect=self.timeout / 3).as_dict(),
            },
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
    """Return on 200, or raise what another HTTP status of the picture's host means."""
    match status:
        case 200:
            return
        case 404 | 410:
            raise ImageSourceNotFoundError(f"its host answered {status}")
        case 401 | 403:
            raise ImageSourceDeniedError(f"its host answered {status}; this service has no login")
        case _:
            raise ImageSourceUnavailableError(f"its host answered {status}; expected is 200")


def declared_type(headers: httpx.Headers) -> str | None:
    """Return the picture's declared media type, or raise if it is declared to be none."""
    declared: str = headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedImageTypeError("its host sent it compressed, unasked")
    if declared in _UNTYPED:
        return None
    if not declared.startswith("image/"):
        raise UnsupportedImageTypeError(f"its host declares it as {declared[:100]}, not an image")
    return declared
