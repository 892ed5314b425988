"""Heads that are too long, too slow, or made to smuggle a second request in."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.api.protocol import BoundedProtocol
from tests.support.app import Rig
from tests.support.server import serving


class Impatient(BoundedProtocol):
    head_seconds = 0.3


@contextmanager
def connected(
    protocol: type[BoundedProtocol] = BoundedProtocol, **options: Any
) -> Iterator[socket.socket]:
    with serving(Rig().app(), http=protocol, **options) as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as raw:
            yield raw


def received(raw: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    found = b""
    try:
        while piece := raw.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def test_headers_of_a_usual_length_are_answered():
    with connected() as raw:
        padding = b"a" * 30_000
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: " + padding)
        raw.sendall(b"\r\n\r\n")

        assert received(raw).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 400_000,
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"x: aaaaaaaaaaaaaaaa\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 400_000,
    ],
    ids=["one long header", "many headers", "long path"],
)
def test_a_head_without_end_is_cut_off(head):
    with connected() as raw:
        try:
            raw.sendall(head)
        except (BrokenPipeError, ConnectionResetError):
            return

        assert b"HTTP/1.1 200" not in received(raw)


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(begun):
    with connected(Impatient) as raw:
        raw.sendall(begun)

        assert received(raw) == b""


def test_a_second_request_has_its_own_time():
    with connected(Impatient) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost")

        assert b"HTTP/1.1" not in received(raw)


HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
LONG = b"content-length: 1000000\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("asked", "drip"),
    [
        (HEALTH + b"\r\n", b"\r\n"),
        (HEALTH + LONG, b" "),
        (HEALTH + CHUNKED, b"1\r\nx\r\n"),
        (b"POST /v1/nothing HTTP/1.1\r\nhost: x\r\n" + LONG, b" "),
    ],
    ids=["blank lines", "rest of a body", "chunks", "rest of a refused body"],
)
def test_a_drip_behind_an_answer_does_not_hold_the_connection(asked, drip):
    with connected(timeout_keep_alive=1) as raw:
        raw.sendall(asked)
        assert raw.recv(65536).startswith(b"HTTP/1.1 ")
        answered = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < answered + 5:
                raw.sendall(drip)
                time.sleep(0.1)

        assert time.monotonic() >= answered + 0.9


def test_a_body_that_comes_behind_its_answer_leaves_the_whole_idle_time():
    with connected(timeout_keep_alive=2) as raw:
        raw.sendall(HEALTH + b"content-length: 3\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.2)
        raw.sendall(b"abc")
        time.sleep(1.2)
        raw.sendall(HEALTH + b"connection: close\r\n\r\n")

        assert received(raw).startswith(b"HTTP/1.1 200 ")


def test_a_request_that_has_begun_is_idle_no_longer():
    with connected(timeout_keep_alive=1) as raw:
        # The second begins before the first is answered.
        raw.sendall(HEALTH + b"\r\n" + HEALTH)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.5)
        raw.sendall(b"connection: close\r\n\r\n")

        assert received(raw).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        b"content-length : 5\r\n\r\n12345",
        b"content-length: +5\r\n\r\n12345",
        b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_request_whose_end_is_ambiguous_is_refused(request_):
    with connected() as raw:
        raw.sendall(b"POST /v1/generate HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + request_)

        assert received(raw).startswith(b"HTTP/1.1 400 ")


def asking(prompt: str, *headers: bytes) -> bytes:
    body = json.dumps({"prompt": prompt}).encode()
    length = b"content-length: %d" % len(body)
    head = (b"POST /v1/generate HTTP/1.1", b"host: x", b"content-type: application/json", length)
    return b"\r\n".join((*head, *headers, b"", body))


def test_requests_sent_behind_one_another_keep_their_bodies_apart():
    first, second = asking("first " * 30), asking("second", b"connection: close")
    with connected() as raw:
        raw.sendall(first[:-20])
        # The first is let in before its body is whole.
        time.sleep(0.3)
        raw.sendall(first[-20:] + second)

        answers = received(raw).split(b"HTTP/1.1 200 OK")[1:]
    assert [b"first first" in answer for answer in answers] == [True, False]
    assert [b"second" in answer for answer in answers] == [False, True]


def test_a_body_larger_than_what_is_read_ahead_arrives_whole():
    prompt = "word " * 100_000
    with connected() as raw:
        raw.sendall(asking(prompt, b"connection: close"))
        answer = received(raw)

    assert b"[fake 0 image(s)] word" in answer
