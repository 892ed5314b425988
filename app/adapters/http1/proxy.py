"""The way to Bedrock through an HTTP proxy, where AWS's own variables name one.

aiohttp's, which knows CONNECT, the proxy's credentials and TLS within TLS; it costs more CPU than
`app.adapters.http1.pool`, which knows none of them.
"""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.http1.pool import KEEP_ALIVE, Answer, Sender


@dataclass(frozen=True, slots=True)
class _Answer:
    response: aiohttp.ClientResponse

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.response.headers.items()}

    async def read(self) -> bytes:
        return await self.response.read()

    async def readany(self) -> bytes:
        return await self.response.content.readany()


@dataclass(frozen=True, slots=True)
class Proxied:
    """A Sender."""

    http: aiohttp.ClientSession
    origin: URL

    @asynccontextmanager
    async def post(
        self, path: str, headers: Mapping[str, str], body: Sequence[bytes]
    ) -> AsyncIterator[Answer]:
        """Send; see `Sender`."""
        url = URL(f"{self.origin}{path}", encoded=True)
        async with self.http.post(url, data=b"".join(body), headers=headers) as response:
            yield _Answer(response)


@asynccontextmanager
async def open_proxied(
    connection: Connection, endpoint: str, trusted: ssl.SSLContext, proxy: str
) -> AsyncIterator[Sender]:
    """Open a pool of connections through ``proxy``, a URL."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connection.max_connections, ssl=trusted, keepalive_timeout=KEEP_ALIVE
        ),
        timeout=aiohttp.ClientTimeout(
            sock_connect=connection.connect_timeout, sock_read=connection.read_timeout
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        proxy=proxy,
    ) as http:
        yield Proxied(http, URL(endpoint).origin())
