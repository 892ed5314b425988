"""HTTP to hosts that callers name: allowed hosts only, at addresses that were checked."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.rules import UrlRules, host_of
from app.domain.errors import ImageAddressForbiddenError

Resolve = Callable[[str], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class PinnedTransport:
    """Sends one request to an address that was checked; follows no redirect."""

    # Not a client: that would keep cookies between callers, follow proxies of the environment
    # and unpack bodies without a bound.
    transport: httpx.AsyncBaseTransport
    rules: UrlRules
    timeout: float
    """Seconds for a connection's silence; a third of it to connect."""
    addresses: AddressPolicy
    resolve: Resolve

    @asynccontextmanager
    async def send(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Yield the answer, whose body is not read yet, or raise an ImageError or httpx's."""
        self.rules.check(url)
        addresses = await self._permitted(url)
        response = await self._sent(method, url, headers, content, addresses)
        try:
            yield response
        finally:
            await response.aclose()

    async def _permitted(self, url: httpx.URL) -> Sequence[str]:
        """Resolve the name once, so that the checked address is the one that is connected to."""
        addresses = await self.resolve(host_of(url))
        # One bad address among good ones is a trap, or an equally dangerous mistake.
        if not addresses or not all(map(self.addresses.permits, addresses)):
            raise ImageAddressForbiddenError(
                f"{host_of(url)} has an address that is not on the public internet"
            )
        return addresses

    async def _sent(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None,
        addresses: Sequence[str],
    ) -> httpx.Response:
        *others, last = addresses
        for address in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self.transport.handle_async_request(
                    self._pinned(method, url, headers, content, address)
                )
        return await self.transport.handle_async_request(
            self._pinned(method, url, headers, content, last)
        )

    def _pinned(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None,
        address: str,
    ) -> httpx.Request:
        """Return a request to ``address`` that names and verifies the URL's host."""
        return httpx.Request(
            method,
            url.copy_with(host=address),
            content=content,
            headers={
                "Host": url.netloc.decode("ascii"),
                # Compressed bodies could unpack beyond any bound.
                "Accept-Encoding": "identity",
                "Connection": "close",
                **headers,
            },
            extensions={
                "sni_hostname": host_of(url),
                # So that a dead address leaves time for the host's next one.
                "timeout": httpx.Timeout(self.timeout, connect=self.timeout / 3).as_dict(),
            },
        )
