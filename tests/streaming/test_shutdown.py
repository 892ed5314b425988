"""Going down without losing a request: docs/reliability.md, with real processes and signals."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from app.settings import PREFIX
from tests.streaming.conftest import model_arn
from tests.support import sse
from tests.support.process import Running
from tests.support.process import running as running_process

SECONDS = 30
"""For what should take one or two."""


@contextmanager
def service(emulator_url: str, fault: str, **options: float) -> Iterator[Running]:
    settings = {"ENDPOINT_URL": emulator_url, "MODEL_ID": model_arn(fault), "PORT": 0, **options}
    environment = {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
    with running_process("app", "serve", environment=environment) as process:
        yield process


def ask(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/generate", json={"prompt": "Why?"}, timeout=SECONDS)


def status(url: str) -> int:
    return httpx.get(f"{url}/readyz", timeout=SECONDS).status_code


def stop(process: Running) -> None:
    process.process.send_signal(signal.SIGTERM)


def until_not_ready(url: str) -> None:
    end = time.monotonic() + SECONDS
    while status(url) != 503:
        assert time.monotonic() < end, "readiness did not fail"
        time.sleep(0.02)


def test_readiness_fails_first_while_requests_go_on(emulator_url):
    with service(emulator_url, "", shutdown_delay=2) as process:
        assert status(process.url) == 200
        stop(process)
        until_not_ready(process.url)

        refused = httpx.get(f"{process.url}/readyz")
        answer = ask(process.url)
        alive = httpx.get(f"{process.url}/healthz")

        assert refused.json()["code"] == "not_ready"
        assert (answer.status_code, alive.status_code) == (200, 200)
        # So that no caller sends its next request down a connection about to close.
        assert answer.headers["connection"] == "close"
        assert process.process.wait(SECONDS) == 0


def test_a_running_stream_is_finished_before_the_process_ends_with_0(emulator_url):
    with (
        service(emulator_url, "token-30ms") as process,
        httpx.stream(
            "POST",
            f"{process.url}/v1/generate",
            json={"prompt": "Why?", "stream": True},
            timeout=SECONDS,
        ) as answer,
    ):
        events = sse.Events()
        for event in sse.each(answer):
            if not events.named:
                stop(process)
            events.named.append(event)

        events.assert_well_formed()
        assert events.names[-1] == "done"
        assert process.process.wait(SECONDS) == 0
        with pytest.raises(httpx.ConnectError):
            ask(process.url)


def test_past_the_grace_time_an_open_stream_gets_its_terminal_error(emulator_url):
    with (
        service(emulator_url, "token-5000ms", shutdown_grace=0.3) as process,
        httpx.stream(
            "POST",
            f"{process.url}/v1/generate",
            json={"prompt": "Why?", "stream": True},
            timeout=SECONDS,
        ) as answer,
    ):
        events = sse.Events()
        for event in sse.each(answer):
            if not events.named:
                stop(process)
            events.named.append(event)

        events.assert_well_formed()
        error = events.last()
        assert (error["status"], error["code"]) == (503, "shutting_down")
        assert error["generation"] == events.text
        assert process.process.wait(SECONDS) == 0


def test_past_the_grace_time_a_call_gets_its_503(emulator_url):
    model = "first-token-20000ms"
    with (
        service(emulator_url, model, shutdown_grace=0.3) as process,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(ask, process.url)
        until_called(emulator_url)
        stop(process)

        answer = asked.result(SECONDS)
        assert (answer.status_code, answer.json()["code"]) == (503, "shutting_down")
        assert answer.json()["retryable"] is True
        assert process.process.wait(SECONDS) == 0


def until_called(emulator_url: str) -> None:
    end = time.monotonic() + SECONDS
    while True:
        seen = httpx.get(f"{emulator_url}/_emulator/requests").json()["requests"]
        if any(call["outcome"] == "running" for call in seen):
            return
        assert time.monotonic() < end, "the call did not reach the emulator"
        time.sleep(0.02)


def test_a_second_signal_ends_at_once(emulator_url):
    with service(emulator_url, "", shutdown_delay=60) as process:
        stop(process)
        until_not_ready(process.url)
        stop(process)

        process.process.wait(SECONDS)


def test_a_rolling_restart_loses_no_request(emulator_url):
    over = threading.Event()

    def caller(urls: list[str]) -> list[int]:
        """Send requests where a load balancer would: to the first that is ready."""
        statuses = []
        with httpx.Client(timeout=SECONDS) as http:
            while not over.is_set():
                url = next(u for u in urls if ready(http, u))
                asked = http.post(f"{url}/v1/generate", json={"prompt": "Why?"})
                statuses.append(asked.status_code)
        return statuses

    def ready(http: httpx.Client, url: str) -> bool:
        try:
            return http.get(f"{url}/readyz").is_success
        except httpx.TransportError:
            return False

    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        stack.callback(over.set)
        old, new = (
            stack.enter_context(service(emulator_url, "first-token-50ms", shutdown_delay=1))
            for _ in range(2)
        )
        callers = [pool.submit(caller, [old.url, new.url]) for _ in range(4)]
        time.sleep(0.3)
        stop(old)
        assert old.process.wait(SECONDS) == 0
        time.sleep(0.3)
        over.set()
        statuses = [status for asked in callers for status in asked.result(SECONDS)]

    assert set(statuses) == {200}
    assert len(statuses) > 8
