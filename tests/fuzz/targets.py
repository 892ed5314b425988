"""Fuzz targets: the parsers of untrusted bytes, with their inputs and invariants."""

import asyncio
import errno
import json
import re
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import Mock
from zlib import crc32

from botocore.eventstream import ParserError
from hypothesis import strategies as st

from app.adapters.bedrock.codecs.event_stream import FrameDecoder
from app.adapters.http1.connection import Http1
from app.adapters.http1.errors import DisconnectedError
from app.domain.errors import ServiceError
from app.domain.image import ImageLimits
from app.services.answers.text.objects import objects
from app.services.images.inspection.header import inspect
from app.services.images.inspection.sniff import SIGNATURES
from tests.fuzz.mutation import cuts, mutated, pieces
from tests.support.files.pictures import DATA, b64
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

Check = Callable[[Any], None]


@dataclass(frozen=True)
class Target:
    """A strategy for inputs, and a context manager that yields the check."""

    strategy: st.SearchStrategy[Any]
    opened: Callable[[], Any]
    """Returns a context manager that yields the check."""


# The HTTP server: any input gets valid HTTP back and no internal error.

BODY = json.dumps({"prompt": "Why?"}).encode()
REQUESTS = [
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(BODY), BODY),
    b"POST /v1/generate/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 89\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'
    b"Why is the sky blue?\r\n--x--\r\n",
    b"POST /model/m/converse-stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
]
HTTP_TOKENS = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\0", b" ", b":", b"Content-Length: 0\r\n", b"Content-Length: -1",
    b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n", b"HTTP/0.9", b"HTTP/2.0",
    b"HTTP/1.0",
    b"Connection: close\r\n", b"Host: a\r\nHost: b\r\n", b"CONNECT", b"PRI * HTTP/2.0", b"\xff\xfe",
    b"%2e%2e/", b"X-Request-Timeout: 1e400\r\n", b"Idempotency-Key: \t\r\n", b"9" * 400,
]  # fmt: skip
PATIENCE = 0.03
"""Seconds that an example waits for an answer before it disconnects."""
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@contextmanager
def _server() -> Iterator[Check]:
    with serving(Rig().app()) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield partial(_answered, (host, int(port)))


def _answered(address: tuple[str, int], drawn: tuple[bytes, list[int]]) -> None:
    answer = _exchange(address, pieces(*drawn))

    assert not answer or STATUS.match(answer), answer
    for status in STATUS.findall(answer):
        assert status not in (b"500", b"501"), answer
    assert b" 200 " in _exchange(address, [REQUESTS[0]])[:16]


def _exchange(address: tuple[str, int], sent: list[bytes]) -> bytes:
    received = []
    with socket.create_connection(address, timeout=20) as connection:
        try:
            for piece in sent:
                connection.sendall(piece)
            # Time to answer, as the service takes a half-closed connection for a disconnect.
            select.select([connection], [], [], PATIENCE)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received.append(piece)
        except OSError as error:
            # The service may close the connection before the client has shut it down.
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
    return b"".join(received)


# Bedrock's stream frames: read the same however they are split, or refused as damaged.


def _frame(name: bytes, value: bytes, payload: bytes) -> bytes:
    header = bytes([len(name)]) + name + b"\7" + struct.pack(">H", len(value)) + value
    prelude = struct.pack(">II", 16 + len(header) + len(payload), len(header))
    frame = prelude + struct.pack(">I", crc32(prelude)) + header + payload
    return frame + struct.pack(">I", crc32(frame))


FRAMES = [
    _frame(b":event-type", b"chunk", json.dumps({"bytes": b64(b'{"generation":"a"}')}).encode()),
    _frame(b":exception-type", b"throttlingException", b'{"message":"slow down"}'),
    _frame(b":event-type", b"metadata", b"{}") * 2,
    b"",
]
FRAME_TOKENS = [b"\0\0\0\x10", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\7\0\0", b"\x0a", FRAMES[0]]


def _frames(drawn: tuple[bytes, list[int]]) -> None:
    data, where = drawn
    assert _read([data]) == _read(pieces(data, where))


def _read(received: list[bytes]) -> tuple[list[Any], bool]:
    decoder, frames = FrameDecoder(), []
    try:
        for piece in received:
            for frame in decoder.feed(piece):
                frames.append((dict(frame.headers), frame.payload))
    except ParserError:
        return frames, True
    return frames, False


# The HTTP client: an answer is the same however it is split, or an error.

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nto the end",
]
ANSWER_TOKENS = [
    *HTTP_TOKENS,
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n\r\n",
]


def _answer(drawn: tuple[bytes, list[int]]) -> None:
    data, where = drawn

    async def both() -> None:
        assert await _taken([data]) == await _taken(pieces(data, where))

    asyncio.run(both())


async def _taken(received: list[bytes]) -> tuple[object, ...]:
    """Return status, headers, body and whether it is complete, or the failure."""
    connection = Http1("http://upstream", read_timeout=60)
    transport = Mock()
    transport.is_closing.return_value = False
    transport.get_write_buffer_size.return_value = 0
    connection.connection_made(transport)
    connection.send(b"POST / HTTP/1.1\r\n\r\n", [b""])
    for piece in received:
        connection.data_received(piece)
    try:
        connection.connection_lost(None)
        await connection.begun()
        return connection.status, connection.headers, await connection.read(), connection.complete
    except DisconnectedError:
        return ("failed",)


# The model's answers: no text breaks the search for JSON, and its result is serialisable.

TEXTS = [
    b'{"objects":[{"label":"cat","box":[0.1,0.2,0.3,0.4]}]}',
    b'Here it is:\n```json\n{"title":"Sales","points":[{"x":"2024","y":1.5}]}\n```\nAnything else?',
    b"{'a': 1, 'b': [1, 2, {\"c\": null}],}",
    b'{"text":"She said \\"no\\"\\ud83d", "n": 1e999, "deep": [[[[[]]]]]}',
]
TEXT_TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b"'", b",", b":", b"```", b"```json\n", b"\\", b"\\u", b"NaN",
    b"{" * 200, b"[" * 200, b'{"a":' * 60, b"9" * 5000, b"\xf0\x9f\x98\x80", b"/*", b"//", b"\0",
]  # fmt: skip


def _text(data: bytes) -> None:
    for written in objects(data.decode(errors="replace")):
        assert isinstance(written.value, dict | list)
        json.dumps(written.value).encode()


# Picture headers: values within the limits, or a typed refusal.

PICTURES = [
    *((DATA / name).read_bytes()[:2048] for name in (
        "astronaut.png", "rocket.jpg", "arrow.heic", "exif-Landscape_6.jpg")),
    b"GIF89a\x02\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x02\0\x02\0\0\x02\x03D\x02\x05\0;",
    b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0",
    b"BM:\0\0\0\0\0\0\0006\0\0\0(\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0" + bytes(28),
    b"II*\0\x08\0\0\0\x02\0\0\x01\x03\0\x01\0\0\0\x02\0\0\0\x01\x01\x03\0\x01\0\0\0\x02\0\0\0"
    + bytes(8),
]  # fmt: skip
PICTURE_TOKENS = [
    *(signature for _, signature, _ in SIGNATURES), b"\xff\xff\xff\xff", b"\0\0\0\0",
    b"\x7f\xff\xff\xff", b"IHDR", b"IDAT", b"iTXt", b"\xff\xe1\xff\xff", b"Exif\0\0", b"\xff\xda",
    b"ftypheic", b"meta", b"iprp", b"ispe", b"\0\0\0\1", b"VP8X",
]  # fmt: skip
LIMITS = ImageLimits()


def _picture(data: bytes) -> None:
    try:
        facts = inspect(data, LIMITS).facts
    except ServiceError as error:
        if not 400 <= error.status < 500:
            raise
        return
    assert 0 < facts.width * facts.height <= LIMITS.max_pixels


def _target(
    seeds: list[bytes], tokens: list[bytes], check: Check, *, in_pieces: bool = False
) -> Target:
    data = mutated(seeds, tokens)
    strategy = st.tuples(data, cuts) if in_pieces else data
    return Target(strategy, lambda: nullcontext(check))


TARGETS = {
    "protocol": Target(st.tuples(mutated(REQUESTS, HTTP_TOKENS), cuts), _server),
    "frames": _target(FRAMES, FRAME_TOKENS, _frames, in_pieces=True),
    "http1": _target(ANSWERS, ANSWER_TOKENS, _answer, in_pieces=True),
    "answers": _target(TEXTS, TEXT_TOKENS, _text),
    "pictures": _target(PICTURES, PICTURE_TOKENS, _picture),
}
