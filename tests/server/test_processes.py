"""The service as an operator runs it: real processes, several workers, kills."""

import contextlib
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.settings import PREFIX
from tests.support.clients.metrics import MODEL, documented, value
from tests.support.service.serve_command import service, start

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_failed_start_is_reported_without_quoting_an_exception(tmp_path, workers):
    # The URL looks valid, but Redis's client refuses it with a message that quotes it.
    url = "redis://:hunter2@127.0.0.1:1/0?socket_timeout=hunter2"
    run = start(tmp_path, workers=workers, usage_store="redis", redis_url=url)

    assert run.returncode != 0
    assert "the service can't start" in run.stdout
    assert "hunter2" not in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("keys_file", None, "No such file"),
        ("keys_file", "[{}]", "entry 0"),
        ("prices_file", None, "No such file"),
        ("prices_file", "{}", "as_of"),
    ],
)
def test_an_unreadable_file_stops_the_start_with_one_line(tmp_path, setting, content, said):
    path = tmp_path / "it.json"
    if content is not None:
        path.write_text(content)
    # The supervisor must notice, not a worker.
    run = start(tmp_path, workers="2", **{setting: str(path)})

    assert run.returncode == 2
    line, hint = run.stderr.splitlines()
    assert line.startswith(f"{PREFIX}{setting.upper()}: {path}: ")
    assert said in line
    assert "python -m app doctor" in hint


def test_metrics_of_several_workers_are_summed(tmp_path, emulator_url):
    with service(tmp_path, emulator_url, workers="2", usage_store="memory") as (client, _):
        for _ in range(30):
            # A connection for each request, so that both workers get some.
            httpx.get(f"{client.base_url}/v1/models").raise_for_status()

        def counted() -> float:
            return value(
                httpx.get(f"{client.base_url}/metrics").text,
                "http_server_request_duration_seconds_count",
                http_request_method="GET",
                http_route="/v1/models",
                http_response_status_code="200",
            )

        # Another worker's counts come half a second later.
        until(lambda: counted() == 30)
        # Either of them may answer.
        seen = {counted() for _ in range(6)}

    assert seen == {30}


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of the supervisor ``pid``."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    mains = [(Path(f"/proc/{child}/cmdline").read_bytes(), int(child)) for child in listed]
    return [child for command, child in mains if b"spawn_main" in command]


def test_gauges_of_a_killed_worker_disappear(tmp_path, emulator_url):
    def active() -> float:
        text = httpx.get(f"{client.base_url}/metrics").text
        return value(text, "http_server_active_requests")

    with service(tmp_path, emulator_url, workers="2", usage_store="memory") as (client, pid):
        # Two requests whose bodies never arrive stay in progress.
        where = (client.base_url.host, client.base_url.port)
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                raw = stack.enter_context(socket.create_connection(where))
                raw.sendall(
                    b"POST /v1/generate HTTP/1.1\r\nhost: localhost\r\n"
                    b"content-type: application/json\r\n"
                    b"content-length: 9\r\n\r\n"
                )
            until(lambda: active() == 3)
            killed = workers_of(pid)
            for worker in killed:
                os.kill(worker, signal.SIGKILL)
            until(lambda: len(workers_of(pid)) == 2 and set(workers_of(pid)).isdisjoint(killed))
            _answering(client)

            assert active() == 1


def until(true: Callable[[], bool]) -> None:
    """Wait until ``true`` holds, for at most a minute."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("the condition did not become true")


def _answering(client: httpx.Client) -> None:
    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{client.base_url}/healthz").is_success
        return False

    until(answers)


def test_several_workers_show_exactly_the_documented_metrics(tmp_path, emulator_url):
    httpx.post(f"{emulator_url}/_emulator/faults", json={"fault": "throttle-first-1"})
    try:
        with service(tmp_path, emulator_url, workers="2", usage_store="memory") as (client, _):
            client.post("/v1/generate", json={"prompt": "Hi"}).raise_for_status()
            text = client.get("/metrics").text
    finally:
        httpx.delete(f"{emulator_url}/_emulator/faults")

    assert value(text, "llama_vision_model_retries_total", gen_ai_request_model=MODEL) == 1
    families = {family.name for family in text_string_to_metric_families(text)}
    # The parser removes a counter's suffix.
    assert families <= {name.removesuffix("_total") for name in documented()}


def test_a_killed_process_loses_at_most_its_last_second_of_usage(tmp_path, emulator_url):
    path = tmp_path / "usage.sqlite3"
    settings = {"usage_store": "sqlite", "usage_file": str(path)}
    with service(tmp_path, emulator_url, **settings) as (client, pid):
        for _ in range(3):
            client.post("/v1/generate", json={"prompt": "Hi"}).raise_for_status()
        until(lambda: [requests for requests, _ in kept(path)] == [3])
        os.killpg(pid, signal.SIGKILL)

    ((requests, tokens),) = kept(path)
    assert requests == 3
    assert tokens > 0


def kept(path: Path) -> list[tuple[int, int]]:
    """Return the requests and tokens of each row of usage in ``path``."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT requests, prompt_tokens FROM usage").fetchall()
