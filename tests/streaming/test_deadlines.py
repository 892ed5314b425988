"""One deadline for everything that a request waits for: docs/reliability.md."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.clients import sse
from tests.support.clients.half_sent import CLAIMED, answered, half_sent, nearly_sent, until_active
from tests.support.clients.problem import problem
from tests.support.service.emulated import Service, running

LATE = "deadline_exceeded"


def paths(service: Service) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return path and body for each dialect."""
    said = [{"role": "user", "content": "Why?"}]
    model = quote(service.model_id, safe="")
    return {
        "generate": ("/v1/generate", {"prompt": "Why?"}),
        "openai": ("/v1/chat/completions", {"model": service.model_id, "messages": said}),
        "invoke": (f"/model/{model}/invoke", {"prompt": "Why?"}),
        "converse": (
            f"/model/{model}/converse",
            {"messages": [{"role": "user", "content": [{"text": "Why?"}]}]},
        ),
    }


def test_a_body_still_arriving_at_the_deadline_is_answered_in_its_dialect(emulator_url):
    with running(emulator_url) as service:
        for dialect, (path, _) in paths(service).items():
            begun = time.monotonic()
            with half_sent(service.url, path, **{"X-Request-Timeout": "0.3"}) as half:
                status, raw = answered(half)

            assert time.monotonic() - begun < 20
            # AWS clients know this status as a model timeout.
            assert status == (408 if dialect in ("invoke", "converse") else 504)
            assert b"deadline" in raw


def test_a_body_slower_than_its_own_timeout_is_refused_with_that_reason(emulator_url):
    with (
        running(emulator_url, body_timeout=0.2) as service,
        half_sent(service.url, **{"X-Request-Timeout": "20"}) as half,
    ):
        status, raw = answered(half)

    assert status == 408
    assert b"body_timeout" in raw


def test_the_services_own_deadline_includes_the_body(emulator_url):
    with (
        running(emulator_url, request_timeout=0.3) as service,
        half_sent(service.url) as half,
    ):
        status, raw = answered(half)

    assert status == 504
    assert LATE.encode() in raw


def test_the_time_spent_on_the_body_counts_towards_the_deadline(emulator_url):
    with (
        running(emulator_url, "first-token-20000ms") as service,
        half_sent(service.url, **{"X-Request-Timeout": "5"}) as half,
    ):
        begun = time.monotonic()
        time.sleep(4.5)
        half.sendall(b'mpt": "Why?"'.ljust(CLAIMED - 6) + b"}")
        status, _ = answered(half)

    assert status == 504
    assert time.monotonic() - begun < 9


def test_a_request_waiting_for_memory_is_answered_at_its_deadline(emulator_url):
    room: Any = {
        "max_bytes_in_flight": CLAIMED,
        "max_body_bytes": CLAIMED,
        "max_image_bytes": CLAIMED,
    }
    with (
        running(emulator_url, admission_timeout=20, **room) as service,
        nearly_sent(service.url),
    ):
        until_active(service.url, 1)
        for path, body in paths(service).values():
            answer = service.http.post(path, json=body, headers={"x-request-timeout": "0.3"})
            assert answer.status_code in (504, 408)
            assert "deadline" in answer.text
        assert service.seen() == []


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", ""])
def test_a_malformed_deadline_is_refused_in_every_dialect(emulator_url, seconds):
    with running(emulator_url) as service:
        for dialect, (path, body) in paths(service).items():
            answer = service.http.post(path, json=body, headers={"x-request-timeout": seconds})

            expected = {"generate": 422, "openai": 400, "invoke": 400, "converse": 400}
            assert answer.status_code == expected[dialect], answer.text
            assert "X-Request-Timeout" in answer.text
        assert service.seen() == []


def test_a_requested_timeout_is_capped_at_the_services_maximum(emulator_url):
    fault, usual, most = "first-token-20000ms", 0.2, 0.4
    with running(emulator_url, fault, request_timeout=usual, max_request_timeout=most) as service:
        problem(service.ask(headers={"x-request-timeout": "inf"}), 504, LATE)


def test_a_running_stream_ends_at_the_deadline_counted_from_its_arrival(emulator_url):
    body = json.dumps({"prompt": "Why?", "stream": True}).encode()

    def slowly() -> Iterator[bytes]:
        yield body[:10]
        time.sleep(3)
        yield body[10:]

    with running(emulator_url, "token-500ms") as service:
        begun = time.monotonic()
        headers = {"x-request-timeout": "5", "content-type": "application/json"}
        with service.http.stream(
            "POST", "/v1/generate", content=slowly(), headers=headers
        ) as answer:
            events = sse.read(answer)

        assert time.monotonic() - begun < 7.5
        events.assert_well_formed()
        assert events.last()["code"] == LATE
