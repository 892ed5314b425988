"""The way through an HTTP proxy.

aiohttp's, which knows CONNECT, the proxy's credentials and TLS within TLS; it costs more CPU than
`app.adapters.http1.pool`, which knows none of them.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from app.adapters.http1.errors import (
    ConnectError,
    ConnectTimeoutError,
    DisconnectedError,
    ReadTimeoutError,
)
from app.adapters.http1.sender import JOINED, KEEP_ALIVE, MAX_ANSWER, Answer, Limits, Sender


@contextmanager
def translated() -> Iterator[None]:
    """Raise aiohttp's errors as this package's own."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise ConnectTimeoutError(str(error)) from error
    except (aiohttp.SocketTimeoutError, TimeoutError) as error:
        raise ReadTimeoutError(str(error)) from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError) as error:
        raise ConnectError(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise DisconnectedError(str(error)) from error


class _Response(aiohttp.ClientResponse):
    """Discards a connection over which a large body was refused: it may be unread."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        await super().start(connection)
        size = int(self.request_info.headers.get("Content-Length", "0"))
        if self.status >= 400 and size > JOINED and protocol is not None:
            # A complete answer has already returned its connection.
            released = self.connection is None
            protocol.close() if released else protocol.force_close()
        return self


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
        pieces, size = [], 0
        while piece := await self.readany():
            pieces.append(piece)
            size += len(piece)
            if size > MAX_ANSWER:
                raise DisconnectedError(f"the answer is longer than {MAX_ANSWER:,} B")
        return b"".join(pieces)

    async def readany(self) -> bytes:
        with translated():
            return await self.response.content.readany()


@dataclass(frozen=True, slots=True)
class Proxied:
    """A Sender."""

    http: aiohttp.ClientSession
    origin: URL
    room: asyncio.Semaphore
    """Slots for exchanges, as in `app.adapters.http1.pool.Pool`."""

    @asynccontextmanager
    async def post(
        self, path: str, headers: Mapping[str, str], body: Sequence[bytes]
    ) -> AsyncIterator[Answer]:
        """Send; see `app.adapters.http1.sender.Sender`."""
        async with self._exchange("POST", path, headers, b"".join(body)) as answer:
            yield answer

    @asynccontextmanager
    async def get(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Ask; see `app.adapters.http1.sender.Sender`."""
        async with self._exchange("GET", path, headers, None) as answer:
            yield answer

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[Answer]:
        url = URL(f"{self.origin}{path}", encoded=True)
        async with self.room:
            with translated():
                # Following a redirect would pass prompt and credentials on.
                response = await self.http.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                )
            async with response:
                yield _Answer(response)


@asynccontextmanager
async def open_proxied(
    limits: Limits, endpoint: str, trusted: ssl.SSLContext, proxy: str
) -> AsyncIterator[Sender]:
    """Open a pool of connections through ``proxy``, a URL."""
    async with aiohttp.ClientSession(
        # Bounded only by the slots.
        connector=aiohttp.TCPConnector(limit=0, ssl=trusted, keepalive_timeout=KEEP_ALIVE),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_timeout, sock_read=limits.read_timeout
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        proxy=proxy,
        response_class=_Response,
    ) as http:
        yield Proxied(http, URL(endpoint).origin(), asyncio.Semaphore(limits.max_connections))
