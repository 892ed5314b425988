"""Requests that share one answer: docs/reliability.md."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.clients.half_sent import sent
from tests.support.clients.problem import problem
from tests.support.files.documents import FOUR_PAGES
from tests.support.files.pictures import b64
from tests.support.service.emulated import Service, running

LATE = "deadline_exceeded"


def test_each_caller_of_a_shared_call_has_its_own_deadline(emulator_url):
    with (
        running(emulator_url, "first-token-6000ms") as service,
        ThreadPoolExecutor(3) as pool,
    ):

        def ask(seconds: str) -> httpx.Response:
            return service.ask(headers={"idempotency-key": "k", "x-request-timeout": seconds})

        first = pool.submit(ask, "4")
        until_called(service)
        hurried, patient = pool.submit(ask, "0.3"), pool.submit(ask, "60")

        problem(hurried.result(), 504, LATE)
        assert not first.done()
        problem(first.result(), 504, LATE)
        assert patient.result().status_code == 200
        assert len(service.seen()) == 1


def test_a_call_that_nobody_waits_for_ends_at_the_last_deadline(emulator_url):
    with running(emulator_url, "first-token-20000ms") as service:
        problem(service.ask(headers={"idempotency-key": "k", "x-request-timeout": "2"}), 504, LATE)
        assert service.outcome() == "client_left"


def test_the_tokens_of_a_shared_call_are_counted_after_its_first_caller_left(emulator_url):
    headers = {"idempotency-key": "k"}
    with running(emulator_url, "first-token-5000ms") as service, ThreadPoolExecutor(1) as pool:
        joining = pool.submit(joined, service, headers)
        # One caller leaves while another waits.
        with pytest.raises(httpx.ReadTimeout):
            service.http.post("/v1/generate", json={"prompt": "Why?"}, headers=headers, timeout=3)
        answer = joining.result().json()
        (row,) = service.http.get("/v1/usage").json()["data"]

        assert len(service.seen()) == 1
        assert row["requests"] == 1
        assert row["generation_tokens"] == answer["generation_token_count"] > 0
        assert row["prompt_tokens"] == answer["prompt_token_count"]


def until_called(service: Service) -> None:
    """Wait until a call is in progress."""
    until = time.monotonic() + 60
    while not service.seen() and time.monotonic() < until:
        time.sleep(0.02)


def joined(service: Service, headers: dict[str, str]) -> httpx.Response:
    """Send a request once a call is in progress."""
    until_called(service)
    return service.ask(headers=headers)


def test_the_last_caller_to_leave_a_shared_task_ends_its_calls_and_is_charged(emulator_url):
    with running(emulator_url, "first-token-20000ms") as service:
        request = httpx.Request(
            "POST",
            f"{service.url}/v1/tasks/ocr",
            json={"images": [b64(FOUR_PAGES)], "pages": "1"},
            headers={"idempotency-key": "k"},
        )
        with sent(request):
            until_called(service)

        assert service.outcome() == "client_left"
        (row,) = service.http.get("/v1/usage").json()["data"]
        assert (row["task"], row["requests"]) == ("ocr", 1)
