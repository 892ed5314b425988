"""A caller that asks at a fixed rate, however slow the answers are.

Written on asyncio's protocols: a client library would need more of its core than the service
of its own.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
BROKEN = 0
"""In place of a status: the connection ended without an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of one request."""

    sent: float
    """Loop time."""
    seconds: float
    status: int
    retry_after: bool

    @property
    def ended(self) -> float:
        return self.sent + self.seconds


def post(path: str, body: object, key: str) -> bytes:
    """Return a request as it goes over the wire, with an API key."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {key}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.received = b""
        self.reply: asyncio.Future[tuple[int, bool]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, split, rest = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if split and length and len(rest) >= int(length[1]):
            self.received = b""
            if b"\r\nconnection: close" in head.lower():
                self.transport.close()
            self._resolve(int(head[9:12]), b"\r\nretry-after:" in head.lower())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._resolve(BROKEN, False)

    def _resolve(self, status: int, retry_after: bool) -> None:
        if self.reply is not None and not self.reply.done():
            self.reply.set_result((status, retry_after))


@dataclass(slots=True)
class Caller:
    """Keeps connections and uses them again."""

    url: str
    idle: list[_Connection] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    late: float = 0
    """Seconds that a request was sent after its time, at worst: this process was busy."""

    async def ask(self, request: bytes) -> Reply:
        """Send ``request`` and return its outcome."""
        loop = asyncio.get_running_loop()
        sent = loop.time()
        try:
            connection = self._kept() or await self._connect()
        except OSError:
            return Reply(sent, loop.time() - sent, BROKEN, False)
        connection.reply = loop.create_future()
        connection.transport.write(request)
        status, retry_after = await connection.reply
        if not connection.transport.is_closing():
            self.idle.append(connection)
        return Reply(sent, loop.time() - sent, status, retry_after)

    def _kept(self) -> _Connection | None:
        """Return a connection that the service has not closed in the meantime."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> _Connection:
        address = urlsplit(self.url)
        assert address.hostname is not None
        assert address.port is not None
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, address.hostname, address.port
        )
        return connection

    async def offer(self, request: bytes, rate: float, seconds: float) -> list[Reply]:
        """Ask ``rate`` times a second, and wait for all that were asked."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        replies: list[Reply] = []

        async def one() -> None:
            replies.append(await self.ask(request))

        async with asyncio.TaskGroup() as asked:
            for number in range(round(rate * seconds)):
                ahead = began + number / rate - loop.time()
                if ahead > 0:
                    await asyncio.sleep(ahead)
                self.late = max(self.late, -ahead)
                asked.create_task(one())
        return replies

    async def press(self, request: bytes, connections: int, seconds: float) -> list[Reply]:
        """Ask on ``connections`` at once, on each again as soon as it is answered."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        replies: list[Reply] = []

        async def one() -> None:
            while loop.time() < until:
                replies.append(await self.ask(request))

        await asyncio.gather(*(one() for _ in range(connections)))
        return replies

    def close(self) -> None:
        for connection in self.idle:
            connection.transport.close()


def statuses(replies: Sequence[Reply]) -> dict[str, int]:
    """Count ``replies`` by status."""
    counted = Counter(reply.status for reply in replies)
    return {str(status) if status else "broken": n for status, n in sorted(counted.items())}
