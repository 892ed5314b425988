"""An OpenAI-compatible server over plain HTTP/1.1."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from app import __version__
from app.adapters.http1.endpoint import open_sender
from app.adapters.http1.resolver import open_resolver
from app.adapters.http1.sender import Answer, Limits, Sender
from app.adapters.openai import errors
from app.adapters.openai.sse import events
from app.adapters.trust import trusted
from app.services.concurrency.threads import Threads

INLINE = 2**20
"""Bytes of a body up to which it is built on the event loop: less than 1 ms."""
Pieces = tuple[bytes, ...]
"""The pieces of a body."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server, and the credentials for it."""

    path: str
    http: Sender
    headers: Mapping[str, str]
    threads: Threads
    """Threads for bodies of `INLINE` bytes and more."""

    async def call(self, body: Callable[[], Pieces], size: int) -> bytes:
        """Return an answer's body, or raise an UpstreamError or one of ``http1``'s errors.

        ``body`` makes the request's, of about ``size`` bytes.
        """
        content = await self._made(body, size)
        async with self.http.post(self.path, self.headers, content) as response:
            answer = await response.read()
            if response.status != 200:
                raise errors.refusal(response.status, response.headers, answer)
            return answer

    @asynccontextmanager
    async def stream(
        self, body: Callable[[], Pieces], size: int
    ) -> AsyncIterator[AsyncIterator[Iterator[str]]]:
        """Yield the data of an answer's events. Leaving closes the connection, unless all came."""
        content = await self._made(body, size)
        async with self.http.post(self.path, self.headers, content) as response:
            if response.status != 200:
                answer = await response.read()
                raise errors.refusal(response.status, response.headers, answer)
            yield _arriving(response)

    async def _made(self, body: Callable[[], Pieces], size: int) -> Pieces:
        if size < INLINE:
            return body()
        return await self.threads.run(body)


async def _arriving(response: Answer) -> AsyncIterator[Iterator[str]]:
    async for data in events(response):
        yield iter((data,))


@asynccontextmanager
async def open_server(url: str, key: str | None, limits: Limits) -> AsyncIterator[Server]:
    """Open connections to the server at ``url``; ``key`` is sent as a bearer token."""
    address = URL(url)
    headers = {
        "Host": address.host_port_subcomponent or "",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Accept-Encoding": "identity",
        "User-Agent": f"llama-vision/{__version__}",
    }
    if key:
        headers["Authorization"] = f"Bearer {key}"
    endpoint = str(address.origin())
    proxy = None if proxy_bypass(address.host or "") else getproxies().get(address.scheme)
    with closing(Threads("bodies", 2)) as threads:
        async with (
            open_resolver() as resolver,
            open_sender(endpoint, limits, trusted(), resolver, proxy) as http,
        ):
            path = f"{address.raw_path.rstrip('/')}/chat/completions"
            yield Server(path, http, headers, threads)
