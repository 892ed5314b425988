"""Clients that disconnect: at every stage their model call ends or is never made."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from app.domain.model import Dialect
from tests.support.clients.half_sent import sent
from tests.support.files.documents import blank_pdf
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.model.dialects import BEDROCK
from tests.support.service.emulated import Service, running

ROOM = 4 * 2**20
"""The limit of bytes in flight and of a body, so that a body without a length needs it all."""
SECONDS = 20.0
"""Seconds within which all of a client's resources are free; they would be after a minute."""
PATIENCE = 60.0
"""Seconds for a test to reach the point where the client disconnects."""

Build = Callable[[Service], httpx.Request]


def post(path: str, headers: dict[str, str] | None = None, **body: Any) -> Build:
    def build(service: Service) -> httpx.Request:
        to = f"{service.url}{path.format(model=quote(service.model_id, safe=''))}"
        return httpx.Request("POST", to, json=body, headers=headers)

    return build


def upload(*, stream: bool) -> Build:
    def build(service: Service) -> httpx.Request:
        return httpx.Request(
            "POST",
            f"{service.url}/v1/generate/upload",
            data={"stream": str(stream).lower()},
            files={"images": ("a.png", ASTRONAUT)},
        )

    return build


def chat(*, stream: bool) -> Build:
    def build(service: Service) -> httpx.Request:
        messages = [{"role": "user", "content": "Why?"}]
        body = {"model": service.model_id, "messages": messages, "stream": stream}
        return httpx.Request("POST", f"{service.url}/v1/chat/completions", json=body)

    return build


CONVERSATION: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "Why?"}]}]}
OWN: dict[str, Build] = {
    "whole": post("/v1/generate", prompt="Why?"),
    "stream": post("/v1/generate", prompt="Why?", stream=True),
    "upload": upload(stream=False),
    "upload stream": upload(stream=True),
}
OTHERS: dict[str, Build] = {
    "chat": chat(stream=False),
    "chat stream": chat(stream=True),
    "invoke": post("/model/{model}/invoke", prompt="Why?"),
    "invoke stream": post("/model/{model}/invoke-with-response-stream", prompt="Why?"),
    "converse": post("/model/{model}/converse", **CONVERSATION),
    "converse stream": post("/model/{model}/converse-stream", **CONVERSATION),
    "task": post("/v1/tasks/caption", images=[b64(ASTRONAUT)]),
    "task stream": post("/v1/tasks/caption", images=[b64(ASTRONAUT)], stream=True),
    "key": post("/v1/generate", {"idempotency-key": "k"}, prompt="Why?"),
    "key stream": post("/v1/generate", {"idempotency-key": "k"}, prompt="Why?", stream=True),
}
ALL = OWN | OTHERS


def ways(*names: str) -> list[Any]:
    """Pair our own API's requests with both upstream dialects, the others with one."""
    return [
        pytest.param(ALL[name], dialect, id=f"{name}-{dialect}")
        for name in names
        for dialect in (BEDROCK if name in OWN else (Dialect.INVOKE,))
    ]


@pytest.fixture(autouse=True)
def _nothing_fails(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Assert that no test here leaves a traceback in the log."""
    yield
    told = "".join(capfd.readouterr())
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []
    assert "Traceback" not in told


@contextmanager
def left_service(
    emulator_url: str, fault: str, dialect: Dialect = Dialect.INVOKE, **options: Any
) -> Iterator[Service]:
    """Run a service with one slot and little memory, and assert that both are free at the end."""
    limits = {
        "max_concurrency": 1,
        "max_wait": PATIENCE,
        "max_bytes_in_flight": ROOM,
        "max_body_bytes": ROOM,
        "max_image_bytes": ROOM,
        "admission_timeout": 0.1,
    }
    with running(emulator_url, fault, dialect, **{**limits, **options}) as service:
        yield service
        until(lambda: waits(service) == (0, 0), SECONDS, "the slot is not free")
        answer = service.http.post(
            "/v1/generate",
            content=iter([b'{"prompt": ', b'"And?"}']),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 200, answer.text


def until(reached: Callable[[], bool], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def waits(service: Service) -> tuple[int, int]:
    """Return how many requests hold a slot and how many are queued."""
    (target,) = service.http.get("/readyz").json()["targets"]
    return target["active"], target["waiting"]


def outcomes(service: Service) -> list[str]:
    """Return the outcomes of the model calls, as the emulator recorded them."""
    asked = {"model_id": service.model_id.partition(".")[0]}
    seen = service.http.get(f"{service.emulator_url}/_emulator/requests", params=asked).json()
    return [call["outcome"] for call in seen["requests"]]


def posts(service: Service) -> list[dict[str, str]]:
    """Return the statuses under which ended POST requests were counted."""
    text = service.http.get("/metrics").text
    return [
        sample.labels
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
        and sample.labels["http_request_method"] == "POST"
    ]


def until_outcomes(service: Service, *expected: str, seconds: float = SECONDS) -> None:
    until(
        lambda: sorted(outcomes(service)) == sorted(expected),
        seconds,
        f"{outcomes(service)} in place of {expected}",
    )


def read_until(connection: socket.socket, reached: Callable[[bytes], bool]) -> bytes:
    got = b""
    while not reached(got):
        piece = connection.recv(65536)
        assert piece, f"the answer ended: {got!r}"
        got += piece
    return got


@pytest.mark.parametrize("form", ["whole", "upload", "chat", "invoke", "converse", "task", "key"])
def test_a_client_that_disconnects_before_its_body_is_complete_causes_no_call(emulator_url, form):
    with left_service(emulator_url, "") as service:
        with sent(ALL[form](service), part=0.5):
            time.sleep(0.2)
        until(lambda: len(posts(service)) == 1, SECONDS, "the request did not end")
        assert outcomes(service) == []

        (labels,) = posts(service)
        assert labels["http_response_status_code"] == "0"
        assert labels["http_route"] != "(none)"


def test_a_client_that_disconnects_during_preparation_causes_no_call(emulator_url):
    file = BytesIO()
    Image.new("RGB", (9_000, 9_000)).save(file, "PNG")
    build = post("/v1/generate", images=[b64(file.getvalue())] * 6, image_strategy="contact_sheet")
    with left_service(emulator_url, "") as service:
        answer = service.http.send(build(service)).json()
        took = (answer["latency_ms"]["total"] - answer["latency_ms"]["model"]) / 1000
        until_outcomes(service, "answered")

        with sent(build(service)):
            time.sleep(took / 6)
        time.sleep(took)
        assert outcomes(service) == ["answered"]


@pytest.mark.parametrize("form", [*OWN, "chat stream", "converse stream", "task stream", "key"])
def test_a_client_that_disconnects_in_the_queue_causes_no_call(emulator_url, form):
    with left_service(emulator_url, "first-token-60000ms-first-1") as service:
        with sent(ALL["whole"](service)):
            until(lambda: waits(service) == (1, 0), PATIENCE, "the model was not called")
            with sent(ALL[form](service)):
                until(lambda: waits(service) == (1, 1), PATIENCE, "the request is not queued")
            until(lambda: waits(service) == (1, 0), SECONDS, "the request is still queued")
        until_outcomes(service, "client_left")


@pytest.mark.parametrize(
    ("build", "dialect"), ways("whole", "upload stream", "chat stream", "task", "key stream")
)
def test_a_client_that_disconnects_before_a_retry_causes_no_further_call(
    emulator_url, build, dialect
):
    # The emulator's refusal has a Retry-After of a second.
    with left_service(emulator_url, "overloaded-first-1", dialect) as service:
        with sent(build(service)):
            until_outcomes(service, "refused", seconds=PATIENCE)
        time.sleep(1.2)
        assert outcomes(service) == ["refused"]


@pytest.mark.parametrize(("build", "dialect"), ways(*ALL))
def test_a_client_that_disconnects_before_the_first_token_ends_the_call(
    emulator_url, build, dialect
):
    with left_service(emulator_url, "first-token-60000ms-first-1", dialect) as service:
        with sent(build(service)):
            until_outcomes(service, "running", seconds=PATIENCE)
        until_outcomes(service, "client_left")


@pytest.mark.parametrize(
    ("build", "dialect"),
    ways("stream", "upload stream", "chat stream", "invoke stream", "converse stream"),
)
def test_a_client_that_disconnects_in_mid_stream_ends_the_call(emulator_url, build, dialect):
    with left_service(emulator_url, "stall-after-3-first-1", dialect) as service:
        with sent(build(service)) as connection:
            got = read_until(connection, lambda got: got.partition(b"\r\n\r\n")[2] != b"")
            assert got.startswith(b"HTTP/1.1 200")
            assert outcomes(service) == ["running"]
        until_outcomes(service, "client_left")


@pytest.mark.parametrize("stream", [False, True])
def test_a_shared_call_continues_while_any_of_its_callers_stays(emulator_url, dialect, stream):
    build = post("/v1/generate", {"idempotency-key": "k"}, prompt="Why?", stream=stream)
    with (
        left_service(emulator_url, "first-token-1500ms-first-1", dialect) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        with sent(build(service)):
            until_outcomes(service, "running", seconds=PATIENCE)
            staying = pool.submit(service.http.send, build(service))
            time.sleep(0.5)
        assert staying.result(PATIENCE).status_code == 200
        until_outcomes(service, "answered")


def test_a_shared_call_ends_when_its_last_caller_disconnects(emulator_url, dialect):
    build = ALL["key"]
    with left_service(emulator_url, "first-token-60000ms-first-1", dialect) as service:
        with sent(build(service)):
            until_outcomes(service, "running", seconds=PATIENCE)
            first_to_leave = sent(build(service))
            with first_to_leave:
                time.sleep(0.3)
            time.sleep(0.3)
            assert outcomes(service) == ["running"]
        until_outcomes(service, "client_left")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_disconnects_ends_the_calls_of_all_pictures(emulator_url, dialect, stream):
    build = post(
        "/v1/generate",
        prompt="Why?",
        images=[b64(ASTRONAUT)] * 3,
        image_strategy="each",
        stream=stream,
    )
    fault = "first-token-60000ms-first-3"
    with left_service(emulator_url, fault, dialect, max_concurrency=3) as service:
        with sent(build(service)):
            until_outcomes(service, *["running"] * 3, seconds=PATIENCE)
        until_outcomes(service, *["client_left"] * 3)


def test_a_client_that_disconnects_in_mid_task_ends_its_calls(emulator_url, dialect):
    build = post("/v1/tasks/ocr", images=[b64(blank_pdf(*[(200, 200)] * 4))], stream=True)
    # Four pages are in progress at a time, one of which waits for a slot.
    fault = "first-token-60000ms-every-4"
    with left_service(emulator_url, fault, dialect, max_concurrency=4) as service:
        with sent(build(service)) as connection:
            read_until(connection, lambda got: b"event: progress" in got)
            until(lambda: "running" in outcomes(service), PATIENCE, "no page waits for a slot")
        until(lambda: "running" not in outcomes(service), SECONDS, "a call did not end")
        assert "client_left" in outcomes(service)
        if len(outcomes(service)) % 4 == 3:
            service.ask(headers={"x-request-timeout": "0.2"})  # so that the next one does not wait
