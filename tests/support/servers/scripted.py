"""An HTTP server in the test's own event loop whose connections follow a script."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Peer:
    """One connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> tuple[bytes, bytes]:
        """Return the next request's head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = head.lower().partition(b"content-length:")[2].split()[0]
        return head, await self.reader.readexactly(int(size))

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Wait until the other side has closed."""
        try:
            while await self.reader.read(2**16):
                pass
        except ConnectionResetError:
            return


Script = Callable[[Peer], Awaitable[None]]


def answer(body: bytes, *headers: str, status: int = 200) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (*headers, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = chunk(b"")


@dataclass
class Upstream:
    """A server that listens."""

    port: int = 0
    peers: list[Peer] = field(default_factory=list)
    """Every connection so far."""


@asynccontextmanager
async def upstream(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    """Serve; each connection is closed when its ``script`` returns."""
    served = Upstream()
    running: set[asyncio.Task[None]] = set()

    async def serve(peer: Peer) -> None:
        try:
            await script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has disconnected
        finally:
            peer.writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        served.peers.append(peer)
        task = asyncio.create_task(serve(peer))
        running.add(task)
        await asyncio.wait((task,))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
