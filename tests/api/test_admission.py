"""Bytes in flight are bounded: requests wait, or are refused with Retry-After."""

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from app.settings import Settings
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeVisionModel, GatedVisionModel
from tests.support.service.application import Rig

BODY = 60_000
ROOM = 100_000


def rig(model: FakeVisionModel, patience: float) -> Rig:
    return Rig(
        model,
        settings=Settings(
            _env_file=None,
            max_bytes_in_flight=ROOM,
            max_body_bytes=ROOM,
            max_image_bytes=ROOM,
            admission_timeout=patience,
        ),
    )


def ask(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/generate", json={"prompt": "x" * BODY})


def ask_in_pieces(client: httpx.Client) -> httpx.Response:
    def pieces():
        yield b'{"prompt": "'
        for _ in range(BODY // 1000):
            yield b"x" * 1000
        yield b'"}'

    return client.post(
        "/v1/generate", content=pieces(), headers={"content-type": "application/json"}
    )


@pytest.mark.parametrize("second", [ask, ask_in_pieces])
def test_a_request_over_the_memory_bound_is_refused_with_retry_after(second):
    model = GatedVisionModel()
    rigged = rig(model, patience=0.2)
    with rigged.client() as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, client)
        assert model.asked.wait(30)
        refused = second(client)
        small = client.get("/healthz")
        model.go.set()
        answered = first.result(30)

    assert problem(refused, 503, "service_overloaded")["retryable"] is True
    assert int(refused.headers["retry-after"]) >= 1
    assert small.status_code == 200
    assert answered.status_code == 200
    assert len(model.requests) == 1
    assert rigged.room.in_use == 0


def test_requests_wait_for_memory_and_are_all_answered_within_the_bound():
    model = GatedVisionModel()
    rigged = rig(model, patience=60)
    with rigged.client() as client, ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(each, client) for each in [ask, ask_in_pieces] * 3]
        assert model.asked.wait(30)
        model.go.set()
        statuses = [answer.result(60).status_code for answer in waiting]

    assert statuses == [200] * 6
    assert BODY < rigged.room.peak <= ROOM
    assert rigged.room.in_use == 0


def test_bodies_that_are_announced_but_never_sent_block_nobody():
    with rig(FakeVisionModel(), patience=60).client() as client, contextlib.ExitStack() as stack:
        address = urlsplit(str(client.base_url))
        where = (address.hostname or "", address.port or 0)
        for framing in ("Content-Length: 99000", "Transfer-Encoding: chunked") * 2:
            half = stack.enter_context(socket.create_connection(where, timeout=30))
            half.sendall(
                f"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n"
                "Content-Type: application/json\r\n\r\n1".encode()
            )

        assert client.post("/v1/generate", json={"prompt": "x" * 1000}).status_code == 200


def test_bodies_that_arrive_in_turns_are_all_completed():
    rigged = rig(FakeVisionModel(), patience=60)
    body = b'{"prompt": "' + b"x" * BODY + b'"}'
    with rigged.client() as client, contextlib.ExitStack() as stack:
        address = urlsplit(str(client.base_url))
        where = (address.hostname or "", address.port or 0)
        sockets = [stack.enter_context(socket.create_connection(where, timeout=30)) for _ in "1234"]
        for raw in sockets:
            raw.sendall(
                b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
        # Together they exceed the budget.
        for start in range(0, len(body), 7000):
            for raw in sockets:
                raw.sendall(body[start : start + 7000])
        answers = [raw.makefile("rb").readline() for raw in sockets]

    assert answers == [b"HTTP/1.1 200 OK\r\n"] * 4
    assert rigged.room.peak <= ROOM
    assert rigged.room.in_use == 0


def test_a_body_of_undeclared_length_is_counted_by_its_real_size_once_read():
    model = GatedVisionModel()
    rigged = rig(model, patience=60)
    with rigged.client() as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask_in_pieces, client)
        assert model.asked.wait(30)
        held = rigged.room.in_use
        model.go.set()
        assert waiting.result(30).status_code == 200

    assert rigged.room.peak == held == BODY + len('{"prompt": ""}')


@pytest.mark.parametrize("framing", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
def test_a_body_that_never_arrives_returns_its_reserved_memory(framing):
    rigged = Rig(settings=Settings(_env_file=None, body_timeout=0.2))
    with rigged.client() as client:
        address = urlsplit(str(client.base_url))
        assert address.hostname is not None
        with socket.create_connection((address.hostname, address.port or 0), timeout=30) as half:
            half.sendall(
                f"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n"
                "Content-Type: application/json\r\n\r\n".encode()
            )
            # Read to the end: the rest of the body would be parsed as another request.
            answer = half.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_timeout" in answer
    assert rigged.room.peak < 60_000
    assert rigged.room.in_use == 0
