"""The bytes of answers, as applications send them."""

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.server.protocol import SharedBufferProtocol
from tests.support.servers.uvicorn import serving

Messages = list[dict[str, Any]]


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def answer(
    messages: Messages, method: str = "GET", connection: str = "close"
) -> tuple[bytes, bytes]:
    """Return the head and the body of the answer that an application sends as ``messages``."""

    async def app(_: Any, __: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    with serving(app, http=SharedBufferProtocol, lifespan="off") as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as raw:
            lines = f"{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
            raw.sendall(lines.encode())
            found = b""
            while piece := raw.recv(65536):
                found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    return head, body


LENGTH = (b"content-length", b"4")


def test_a_body_of_declared_length_is_written_as_it_is():
    head, body = answer([start(LENGTH), part(b"on", more=True), part(b"ce")])

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-length: 4" in head
    assert b"\r\nconnection: close" in head
    assert b"transfer-encoding" not in head
    assert body == b"once"


def test_a_body_of_unknown_length_is_written_in_chunks():
    head, body = answer([start(), part(b"a", more=True), part(b"", more=True), part(b"b" * 16)])

    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"1\r\na\r\n10\r\n" + b"b" * 16 + b"\r\n0\r\n\r\n"


def test_a_body_larger_than_what_is_joined_to_its_head_arrives_completely():
    head, body = answer([start((b"content-length", b"100000")), part(b"x" * 100_000)])

    assert b"\r\ncontent-length: 100000" in head
    assert body == b"x" * 100_000


@pytest.mark.parametrize(
    ("method", "messages"),
    [
        ("HEAD", [start(LENGTH), part(b"once")]),
        ("HEAD", [start(), part(b"once")]),
        ("GET", [start(status=204), part(b"")]),
        ("GET", [start(status=304), part(b"")]),
    ],
)
def test_an_answer_that_may_have_no_body_has_none(method, messages):
    head, body = answer(messages, method)

    assert head.startswith(b"HTTP/1.1 %d " % messages[0]["status"])
    assert b"transfer-encoding" not in head
    assert body == b""


def test_an_answer_that_announces_the_connections_end_ends_it():
    head, body = answer([start((b"connection", b"close"), LENGTH), part(b"once")], connection="")

    assert head.count(b"connection:") == 1
    assert body == b"once"


@pytest.mark.parametrize(
    "header",
    [(b"x-a", b"1\r\nx-b: 2"), (b"x-a", b"1\nx-b: 2"), (b"x-a\r\nx-b", b"2"), (b"x-a", b"\0x-b")],
)
def test_a_header_with_a_control_character_is_never_sent(header):
    head, _ = answer([start(header, LENGTH), part(b"once")])

    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"x-b" not in head


@pytest.mark.parametrize(
    "messages",
    [
        [start(LENGTH), part(b"longer")],
        [start(LENGTH), part(b"not")],
        [start(LENGTH)],
        [start()],
    ],
    ids=["longer", "shorter", "missing", "missing, unknown length"],
)
def test_an_incomplete_answer_keeps_its_head_and_ends_the_connection(messages):
    head, body = answer(messages, connection="")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b""
