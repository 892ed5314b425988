"""A refusal before a task exists equals a refusal by the middlewares."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.server.load_shedding import LoadShedder
from app.server.protocol import REFUSALS
from app.settings import Settings
from app.telemetry import RequestRecord
from tests.support.fakes.ports import GatedVisionModel
from tests.support.service.access import add_key, guarded
from tests.support.service.application import Rig

ASKED = {"prompt": "Hi"}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
BEDROCK = "/model/us.meta.llama3-2-11b-instruct-v1%3A0/invoke"
SAME = {"X-Request-Id": "the-same"}


def browser(client: httpx.Client) -> dict[str, str]:
    """Return headers of a same-origin page, whose requests are left to the middlewares."""
    return SAME | {"Origin": str(client.base_url).rstrip("/")}


@contextmanager
def full(**more: Any) -> Iterator[httpx.Client]:
    """Yield a client of a service at its capacity."""
    model = GatedVisionModel()
    settings = Settings(_env_file=None, max_concurrency=1, max_waiting=0)
    with Rig(model, settings=settings, more=more).client() as client:
        first = threading.Thread(target=lambda: client.post("/v1/generate", json=ASKED))
        first.start()
        try:
            assert model.asked.wait(30)
            yield client
        finally:
            model.go.set()
            first.join()


@pytest.fixture
def counted(monkeypatch) -> list[bytes | None]:
    """Return the refusals of the load shedder; None for each request that it let pass."""
    said: list[bytes | None] = []
    refusal = LoadShedder.refusal

    def noted(*given) -> bytes | None:
        said.append(refusal(*given))
        return said[-1]

    monkeypatch.setattr(LoadShedder, "refusal", noted)
    return said


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/generate", ASKED), ("/v1/chat/completions", CHAT), (BEDROCK, {})]
)
def test_a_refusal_is_identical_in_the_protocol_and_in_the_application(counted, path, body):
    with full() as client:
        soon = client.post(path, json=body, headers=SAME)
        late = client.post(path, json=body, headers=browser(client))

    assert [said is not None for said in counted] == [True, False]
    assert soon.status_code == late.status_code == 503
    assert soon.json() == late.json()
    soon.headers.pop("date")
    late.headers.pop("date")
    assert dict(soon.headers) == dict(late.headers)
    assert soon.headers["x-request-id"] == "the-same"
    assert int(soon.headers["retry-after"]) >= 1


def test_a_connection_stays_usable_after_a_refusal_whose_body_is_discarded():
    body = json.dumps({"prompt": "x" * 300_000}).encode()
    head = b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with full() as client:
        address = urlsplit(str(client.base_url))
        with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
            raw.sendall(head + body + health)
            with raw.makefile("rb") as found:
                answers = found.read()

    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"503", b"200"]


@pytest.mark.parametrize(
    ("version", "header"), [("1.1", "Connection: close\r\n"), ("1.0", ""), ("1.0", "X: y\r\n")]
)
def test_a_connection_without_keep_alive_is_closed_after_a_refusal(version, header):
    asked = (
        f"POST /v1/generate HTTP/{version}\r\nHost: localhost\r\n{header}Content-Length: 0\r\n\r\n"
    )
    with full() as client:
        address = urlsplit(str(client.base_url))
        with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
            raw.sendall(asked.encode())
            with raw.makefile("rb") as found:
                answer = found.read().lower()

    assert answer.startswith(b"http/1.1 503 service unavailable\r\n")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_refusal_is_recorded_like_any_other():
    records: list[RequestRecord] = []
    with full(sinks=(records.append,)) as client:
        client.post("/v1/generate", json=ASKED, headers=SAME)
        client.post("/v1/generate", json=ASKED, headers=browser(client))

    soon, late = (record.fields() for record in records[:2])
    assert soon["request_id"] == "the-same"
    assert soon["status"] == 503
    assert soon.pop("duration_ms") >= 0
    assert late.pop("duration_ms") >= 0
    assert soon == late


def test_a_refusal_is_counted():
    with full() as client:
        client.post("/v1/generate", json=ASKED, headers=SAME)
        metrics = client.get("/metrics").text

    assert 'llama_vision_refusals_total{code="service_overloaded"} 1.0' in metrics
    assert 'http_response_status_code="503"' in metrics


def test_health_and_lists_are_never_shed():
    with full() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/models").status_code == 200


def refused_in_one_piece(asked: bytes, **more: Any) -> bytes:
    """Return the answers to ``asked``, sent in one piece to a service at capacity."""
    with full(**more) as client:
        address = urlsplit(str(client.base_url))
        with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
            with contextlib.suppress(ConnectionError):
                raw.sendall(asked)
            with raw.makefile("rb") as found, contextlib.suppress(ConnectionResetError):
                return found.read()
    return b""


@pytest.mark.parametrize("offer", ["", "Connection: upgrade\r\nUpgrade: websocket\r\n"])
def test_a_connection_is_closed_after_too_many_consecutive_refusals(offer):
    asked = f"POST / HTTP/1.1\r\nHost: localhost\r\n{offer}Content-Length: 0\r\n\r\n".encode()
    records: list[RequestRecord] = []
    refused_in_one_piece(asked * (4_000_000 // len(asked)), sinks=(records.append,))

    assert [record.status for record in records[:-1]] == [503] * REFUSALS


def test_the_last_refusal_announces_that_the_connection_closes():
    asked = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    *others, last = refused_in_one_piece(asked * REFUSALS).lower().split(b"http/1.1 503 ")[1:]

    assert len(others) == REFUSALS - 1
    assert b"\r\nconnection: close\r\n" in last
    assert not any(b"\r\nconnection: close\r\n" in other for other in others)


def test_a_connection_without_credentials_is_closed_after_as_many_refusals(tmp_path):
    add_key(tmp_path / "keys.json")
    with guarded(tmp_path / "keys.json").client() as client:
        closed = [
            client.post("/v1/generate", json=ASKED).headers.get("connection") == "close"
            for _ in range(REFUSALS + 1)
        ]

    assert closed == [False] * (REFUSALS - 1) + [True, False]


def test_an_admitted_request_resets_the_count_of_refusals():
    with full() as client:
        for _ in range(3):
            closed = [
                client.post("/v1/generate", json=ASKED).headers.get("connection") == "close"
                for _ in range(REFUSALS - 1)
            ]
            assert not any(closed)
            assert client.get("/healthz").is_success
