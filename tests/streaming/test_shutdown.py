"""Shutdown without losing a request: docs/reliability.md, with real processes and signals."""

import itertools
import os
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from app.server import listener
from app.server.serving import Server
from app.settings import Settings
from fixtures.process import Running
from tests.support.clients import sse
from tests.support.service.application import Rig
from tests.support.service.worker_processes import (
    SECONDS,
    ask,
    callers,
    service,
    started,
    stop,
    until,
)


@pytest.fixture(params=[1, 2])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.long)])
def mostly_one(request: pytest.FixtureRequest) -> int:
    """Return the number of workers: one, and in ``make test-long`` also two."""
    return int(request.param)


def status(url: str) -> int:
    return callers().get(f"{url}/readyz").status_code


def until_not_ready(url: str) -> None:
    until(lambda: status(url) == 503, "readiness did not fail")


def connect(url: str) -> socket.socket:
    parts = httpx.URL(url)
    return socket.create_connection((parts.host, parts.port or 80), timeout=SECONDS)


def until_refused(url: str) -> None:
    """Wait until nothing listens; connections that succeed are closed at once."""

    def refused() -> bool:
        try:
            connect(url).close()
        except ConnectionRefusedError:
            return True
        return False

    until(refused, "connections are still accepted")


def test_readiness_fails_first_in_every_worker_while_requests_continue_until_a_second_signal(
    emulator_url, workers
):
    with service(emulator_url, workers=workers, shutdown_delay=2 * SECONDS) as process:
        assert status(process.url) == 200
        stop(process)
        # A connection for each request, so that every worker gets some.
        until(lambda: {status(process.url) for _ in range(20)} == {503}, "readiness did not fail")

        refused = callers().get(f"{process.url}/readyz")
        answer = ask(process.url)
        alive = callers().get(f"{process.url}/healthz")

        assert refused.json()["code"] == "not_ready"
        assert (answer.status_code, alive.status_code) == (200, 200)
        # So that no caller sends its next request down a connection about to close.
        assert answer.headers["connection"] == "close"

        stop(process)
        process.process.wait(SECONDS)


def test_running_requests_are_answered_before_the_process_exits_with_0(emulator_url, workers):
    with (
        service(emulator_url, "token-100ms", workers) as process,
        connect(process.url) as early,
        httpx.stream(
            "POST",
            f"{process.url}/v1/generate",
            json={"prompt": "Why?", "stream": True},
            timeout=SECONDS,
        ) as answer,
    ):
        events = sse.Events()
        arriving = sse.each(answer)
        events.named.append(next(arriving))
        stop(process)
        until_refused(process.url)
        early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answered = early.makefile("rb").read()
        events.named.extend(arriving)

        assert answered.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answered
        events.assert_well_formed()
        assert events.names[-1] == "done"
        assert process.process.wait(SECONDS) == 0


def test_after_the_grace_time_an_open_stream_gets_its_terminal_error(emulator_url, mostly_one):
    with (
        service(emulator_url, "token-5000ms", mostly_one, shutdown_grace=0.3) as process,
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


def test_after_the_grace_time_a_call_gets_503(emulator_url, mostly_one):
    model = "first-token-20000ms"
    with (
        service(emulator_url, model, mostly_one, shutdown_grace=0.3) as process,
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
    until(lambda: under_way(emulator_url), "the call did not reach the emulator")


def under_way(emulator_url: str) -> bool:
    """Return whether the model is being called."""
    seen = callers().get(f"{emulator_url}/_emulator/requests").json()["requests"]
    return any(call["outcome"] == "running" for call in seen)


def test_a_hanging_worker_delays_no_signal_to_the_others_and_misses_none(emulator_url):
    with service(emulator_url, workers=2, shutdown_delay=2 * SECONDS) as process:
        hanging, _ = workers_of(process)
        os.kill(hanging, signal.SIGSTOP)
        try:
            stop(process)
            until_not_ready(process.url)
            stop(process)
            until(
                lambda: "Finished server process" in process.log(), "the other worker did not end"
            )
        finally:
            os.kill(hanging, signal.SIGCONT)

        assert process.process.wait(SECONDS) == 0
        assert started(process) == 2, "the hanging worker was replaced"
        assert "Traceback" not in process.log()


def workers_of(process: Running) -> list[int]:
    return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", process.log())]


def test_connections_during_shutdown_are_refused_at_once(emulator_url, mostly_one):
    with (
        service(emulator_url, "token-5000ms", mostly_one, shutdown_grace=5) as process,
        httpx.stream(
            "POST",
            f"{process.url}/v1/generate",
            json={"prompt": "Why?", "stream": True},
            timeout=SECONDS,
        ) as answer,
    ):
        events = sse.each(answer)
        next(events)
        stop(process)
        until_refused(process.url)

        assert under_way(emulator_url)
        assert [name for name, _ in events][-1] == "error"
        assert process.process.wait(SECONDS) == 0


async def test_connections_in_the_backlog_at_shutdown_are_answered(collector_settings):
    server = Server(Rig().app(), Settings(_env_file=None, port=0))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    # Like one of several workers, which cannot make the kernel refuse connections.
    await server.startup([listener.bound("127.0.0.1", 0)])
    address = server.listeners[0].getsockname()
    # The event loop does not run before the shutdown: only the kernel has accepted.
    with socket.create_connection(address, timeout=SECONDS) as waiting:
        waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await server.shutdown()

        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_a_worker_that_dies_is_replaced(emulator_url):
    with service(emulator_url, workers=2) as process:
        first, second = workers_of(process)
        os.kill(first, signal.SIGKILL)
        until(lambda: started(process) == 3, "the worker was not replaced")
        # Only the new worker is left.
        os.kill(second, signal.SIGSTOP)
        try:
            assert ask(process.url).status_code == 200
        finally:
            os.kill(second, signal.SIGCONT)
        stop(process)
        assert process.process.wait(SECONDS) == 0


def until_more(statuses: list[int], number: int) -> None:
    until(lambda: len(statuses) > number, "no request is answered")


def test_services_restarted_in_turn_lose_no_request(emulator_url, mostly_one):
    over = threading.Event()
    statuses: list[int] = []

    def caller(urls: tuple[str, ...]) -> None:
        """Send requests one after the other, to the next service if a connection is refused."""
        turns = itertools.cycle(urls)
        while not over.is_set():
            try:
                statuses.append(ask(next(turns)).status_code)
            except httpx.ConnectError:
                statuses.append(ask(next(turns)).status_code)

    def start(stack: ExitStack, port: int = 0) -> Running:
        return stack.enter_context(
            service(emulator_url, "first-token-50ms", mostly_one, port=port, shutdown_grace=5)
        )

    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        stack.callback(over.set)
        first, second = start(stack), start(stack)
        asking = [pool.submit(caller, (first.url, second.url)) for _ in range(8)]
        for restarted in (first, second):
            stop(restarted)
            assert restarted.process.wait(SECONDS) == 0
            start(stack, port=httpx.URL(restarted.url).port or 0)
            until_more(statuses, len(statuses) + 25)
        over.set()
        for asked in asking:
            asked.result(SECONDS)

    assert set(statuses) == {200}


def test_kept_alive_connections_lose_no_request_if_the_balancer_has_time_to_notice(
    emulator_url, mostly_one
):
    """A load balancer sends requests to the first ready service over kept-alive connections."""
    over = threading.Event()
    statuses: list[int] = []

    def caller(urls: list[str]) -> None:
        """Send requests as a load balancer does, to the first ready service."""
        with httpx.Client(timeout=SECONDS) as http:
            while not over.is_set():
                url = next(u for u in urls if ready(http, u))
                asked = http.post(f"{url}/v1/generate", json={"prompt": "Why?"})
                statuses.append(asked.status_code)

    def ready(http: httpx.Client, url: str) -> bool:
        try:
            return http.get(f"{url}/readyz").is_success
        except httpx.TransportError:
            return False

    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        stack.callback(over.set)
        old, new = (
            stack.enter_context(
                service(emulator_url, "first-token-50ms", mostly_one, shutdown_delay=1)
            )
            for _ in range(2)
        )
        asking = [pool.submit(caller, [old.url, new.url]) for _ in range(4)]
        until_more(statuses, 8)
        stop(old)
        assert old.process.wait(SECONDS) == 0
        until_more(statuses, len(statuses) + 8)
        over.set()
        for asked in asking:
            asked.result(SECONDS)

    assert set(statuses) == {200}
