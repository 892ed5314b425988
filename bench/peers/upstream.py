"""A stand-in for Bedrock that costs next to nothing: it replays the emulator's answers.

    python -m bench.peers.upstream REPLIES

``REPLIES`` is a folder written by `bench.peers.recording`, a file for each operation. A request is
read by its Content-Length and its body counted, not looked at; the reply is chosen by the path
alone. ``GET /bench`` gives the counts. After ``GET /bench/keep`` new bodies are kept, until ``GET
/bench/body`` gives the last one, ``GET /bench/operation`` its operation and ``GET
/bench/scheme`` its authentication: ``Bearer`` or ``AWS4-HMAC-SHA256``.
"""

import asyncio
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SCHEME = re.compile(rb"\r\nauthorization: *(\S+)", re.IGNORECASE)
_UNKNOWN = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_NO_LENGTH = b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Upstream:
    """The replies, and counts of the requests."""

    replies: dict[str, bytes]
    """Whole HTTP replies by the operation: the last segment of the path."""
    requests: int = 0
    body_bytes: int = 0
    keeping: bool = False
    kept: bytes = b""
    operation: bytes = b""
    """The operation of the kept body."""
    scheme: bytes = b""
    """The scheme of its Authorization header."""
    buffer: bytearray = field(default_factory=lambda: bytearray(256 * 1024))
    """Shared by all connections: each reads it before another gets its turn."""

    def reply(self, target: bytes) -> bytes:
        """Return the reply for a path."""
        operation = target.rpartition(b"/")[2].decode()
        known = self.replies.get(operation)
        return known if known is not None else self._control(target)

    def _control(self, target: bytes) -> bytes:
        if target == b"/bench":
            return _ok(json.dumps({"requests": self.requests, "bytes": self.body_bytes}).encode())
        if target == b"/bench/keep":
            self.keeping, self.kept, self.operation, self.scheme = True, b"", b"", b""
            return _ok(b"")
        if target == b"/bench/body":
            self.keeping = False
            return _ok(self.kept)
        if target == b"/bench/operation":
            return _ok(self.operation)
        if target == b"/bench/scheme":
            return _ok(self.scheme)
        return _UNKNOWN


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Connection(asyncio.BufferedProtocol):
    """One request at a time, as HTTP/1.1 clients without pipelining send them."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.head = b""
        self.missing = 0
        """Bytes of the body that are still to come."""
        self.target = b""
        self.body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's
        return self.upstream.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.missing:
            self._continue(nbytes)
        else:
            self._begin(bytes(self.upstream.buffer[:nbytes]))

    def _begin(self, data: bytes) -> None:
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, body = self.head[:end], self.head[end + 4 :]
        self.head = b""
        method, self.target, _ = head.split(b" ", 2)
        length = _LENGTH.search(head)
        if length is None and method == b"POST":
            self.transport.write(_NO_LENGTH)
            self.transport.close()
            return
        whole = int(length[1]) if length else 0
        self.missing = whole - len(body)
        if method == b"POST":
            self.upstream.requests += 1
            self.upstream.body_bytes += whole
        self.body = [body] if self.upstream.keeping else []
        if self.upstream.keeping and (scheme := _SCHEME.search(head)):
            self.upstream.scheme = scheme[1]
        self._answer_if_whole()

    def _continue(self, nbytes: int) -> None:
        self.missing -= nbytes
        if self.upstream.keeping:
            self.body.append(bytes(self.upstream.buffer[:nbytes]))
        self._answer_if_whole()

    def _answer_if_whole(self) -> None:
        if self.missing == 0:
            if self.upstream.keeping and any(self.body):
                self.upstream.kept = b"".join(self.body)
                self.upstream.operation = self.target.rpartition(b"/")[2]
            self.transport.write(self.upstream.reply(self.target))


async def serve(replies: dict[str, bytes]) -> None:
    """Answer for ever, on a free port."""
    upstream = Upstream(replies)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", 0, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    print(f"running on http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve({file.name: file.read_bytes() for file in Path(sys.argv[1]).iterdir()}))
