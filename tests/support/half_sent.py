"""Requests of which only the head and the beginning of the body are sent."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

CLAIMED = 60_000
"""Bytes that a half-sent request says it has."""


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


def answered(half: socket.socket) -> tuple[int, bytes]:
    """Read an answer, and return its status and body."""
    answer = HTTPResponse(half)
    answer.begin()
    return answer.status, answer.read()
