"""Bytes in flight are bounded: requests wait, or are told to come again."""

import socket
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.api.pipeline.admission import EntranceMiddleware
from app.api.pipeline.authorization import Gatekeeper, Rule
from app.services.concurrency.admission_queue import Door
from app.services.concurrency.budget import Budget
from app.services.concurrency.deadline import Drain
from app.services.registry import Timing
from app.settings import Settings
from tests.api.test_refusals import problem
from tests.support.app import Rig
from tests.support.fakes import FakeVisionModel, GatedVisionModel
from tests.support.requests import request_scope

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
def test_over_the_bound_a_request_is_told_to_come_again(second):
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


def test_requests_wait_for_room_and_are_all_answered_within_the_bound():
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


async def test_a_body_is_not_read_before_there_is_room_for_it():
    room, reads = Budget("bytes", 10, 0.01), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def receive() -> dict[str, Any]:
        reads.append(room.in_use)
        return {"type": "http.request", "body": b"0123456789"}

    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    class Opened:
        def __init__(self) -> None:
            self.room, self.operations = room, SimpleNamespace(remote=False)
            self.drain, self.timing = Drain(), Timing(request=60, longest=60, heartbeat=60)

    def scope() -> dict[str, Any]:
        return request_scope(Opened(), (b"content-length", b"10"))

    anyone = Gatekeeper((Rule("/open", public=True),))
    middleware = EntranceMiddleware(app, Door(10, 1), anyone, 100, 60)
    async with room.reserve(1):
        await middleware(scope(), receive, send)
        assert reads == []
        assert sent[0]["status"] == 503
    await middleware(scope(), receive, send)

    assert reads == [10]
    assert room.in_use == 0


def test_a_body_of_undeclared_length_counts_as_what_it_is_once_it_is_read():
    model = GatedVisionModel()
    rigged = rig(model, patience=60)
    with rigged.client() as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask_in_pieces, client)
        assert model.asked.wait(30)
        held = rigged.room.in_use
        model.go.set()
        assert waiting.result(30).status_code == 200

    assert rigged.room.peak == ROOM
    assert held == BODY + len('{"prompt": ""}')


@pytest.mark.parametrize("framing", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
def test_a_body_that_never_arrives_gives_its_room_back(framing):
    rigged = Rig(settings=Settings(_env_file=None, body_timeout=0.2))
    with rigged.client() as client:
        address = urlsplit(str(client.base_url))
        assert address.hostname is not None
        with socket.create_connection((address.hostname, address.port or 0), timeout=30) as half:
            half.sendall(
                f"POST /v1/generate HTTP/1.1\r\nHost: x\r\n{framing}\r\n"
                "Content-Type: application/json\r\n\r\n".encode()
            )
            # To the end: what is left of the body would be taken for another request.
            answer = half.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_timeout" in answer
    assert rigged.room.peak >= 60000
    assert rigged.room.in_use == 0
