"""Requests sent partly or completely on a socket of their own, which a test can close."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

import httpx

from tests.support.clients.metrics import value

CLAIMED = 60_000
"""The Content-Length of a half-sent request."""


@contextmanager
def half_sent(url: str, path: str = "/v1/generate", **headers: str) -> Iterator[socket.socket]:
    """Send the head of a request and the beginning of its body."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((address.hostname, address.port), timeout=30) as half:
        half.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
            f'Content-Length: {CLAIMED}\r\n\r\n{{"pro'.encode()
        )
        yield half


@contextmanager
def nearly_sent(url: str) -> Iterator[socket.socket]:
    """Send all but a request's last bytes, as memory is reserved while a body arrives."""
    with half_sent(url) as half:
        half.sendall(b"x" * (CLAIMED - 10))
        yield half


@contextmanager
def sent(request: httpx.Request, part: float = 1) -> Iterator[socket.socket]:
    """Send ``part`` of a request's body; leaving the block closes the connection."""
    lines = [b"%b: %b" % pair for pair in request.headers.raw]
    head = b"\r\n".join([b"POST %b HTTP/1.1" % request.url.raw_path, *lines, b"", b""])
    body = request.read()
    to = (request.url.host, request.url.port or 80)
    with socket.create_connection(to, timeout=60) as connection:
        connection.sendall(head + body[: int(len(body) * part)])
        yield connection


def until_active(url: str, number: int) -> None:
    """Wait until ``number`` requests are in progress, for at most a minute."""
    until = time.monotonic() + 60
    # The request that reads the metric is counted too.
    while value(httpx.get(f"{url}/metrics").text, "http_server_active_requests") != number + 1:
        assert time.monotonic() < until, "the requests did not arrive"
        time.sleep(0.02)


def answered(half: socket.socket) -> tuple[int, bytes]:
    """Read an answer and return its status and body."""
    answer = HTTPResponse(half)
    answer.begin()
    return answer.status, answer.read()
