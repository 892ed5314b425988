"""Workers are started, watched and replaced without patching uvicorn's modules."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from app.server.supervisor import SILENCE, Supervisor, Worker
from tests.support.service.serve_command import start

SECONDS = 60
UVICORNS_OWN = multiprocess.Process


class Waiting(uvicorn.Server):
    """Serves nothing until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(uvicorn.Config("none", log_config=None))
        self.ended = threading.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self.ended.set())
        self.started = True
        self.ended.wait(SECONDS)


class Failing(uvicorn.Server):
    """Fails to start."""

    def __init__(self) -> None:
        super().__init__(uvicorn.Config("none", log_config=None))

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        os._exit(STARTUP_FAILURE)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.fixture
def worker(listener) -> Iterator[Worker]:
    worker = Worker(Waiting, [listener])
    yield worker
    worker.send(signal.SIGKILL)
    assert worker.join(SECONDS)


@pytest.fixture(autouse=True)
def _metrics(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))


def until_serving(worker: Worker) -> None:
    end = time.monotonic() + SECONDS
    while not (worker.is_alive() and worker.serves):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_counts_as_dead_after_a_long_silence(worker):
    until_serving(worker)
    os.kill(worker.pid, signal.SIGSTOP)
    # From now on no further heartbeat can come.
    os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        worker.heard -= SILENCE
        worker._pipe.poll(0)
        while worker._pipe.poll():
            worker._pipe.recv()
        assert not worker.is_alive()
    finally:
        os.kill(worker.pid, signal.SIGCONT)

    worker.heard = time.monotonic()
    until_serving(worker)


def test_a_worker_that_starts_slowly_is_not_replaced(worker):
    worker.heard -= SILENCE

    assert worker.is_alive()
    assert not worker.serves


def test_a_worker_that_has_exited_is_not_alive_and_reports_its_status(worker):
    worker.send(signal.SIGKILL)
    assert worker.join(SECONDS)

    assert not worker.is_alive()
    assert worker.status == "SIGKILL"


def test_a_workers_death_is_logged_with_its_status_and_it_is_replaced(listener):
    supervisor = Supervisor(Waiting, listener, 2)
    supervisor.start()
    first, other = supervisor.workers
    try:
        until_serving(first)
        first.send(signal.SIGKILL)
        first.process.join(SECONDS)
        with structlog.testing.capture_logs() as logged:
            supervisor._replace_dead()
        replaced = supervisor.workers
    finally:
        for each in {first, other, *supervisor.workers}:
            each.send(signal.SIGKILL)
            each.process.join(SECONDS)

    assert [(line["event"], line["log_level"], line["status"]) for line in logged] == [
        ("a worker died", "warning", "SIGKILL")
    ]
    assert replaced[0] is not first
    assert replaced[1] is other


def test_a_worker_that_cannot_start_ends_the_others_and_the_supervisor(listener):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hup = signal.getsignal(signal.SIGHUP)
    try:
        assert Supervisor(Failing, listener, 2).run() == STARTUP_FAILURE
    finally:
        for number, handler in {**before, signal.SIGHUP: hup}.items():
            signal.signal(number, handler)


def test_an_occupied_port_is_named_with_several_workers_too(tmp_path: Path, listener):
    listener.listen()
    port = str(listener.getsockname()[1])
    run = start(tmp_path, workers="2", port=port)

    assert run.returncode == STARTUP_FAILURE
    (line,) = [line for line in run.stdout.splitlines() if "can't listen" in line]
    assert f'"port":{port}' in line
    assert "Address already in use" in line


def test_uvicorns_own_supervisor_is_unchanged():
    assert multiprocess.Process is UVICORNS_OWN
    assert multiprocess.Process.__module__ == "uvicorn.supervisors.multiprocess"


def test_a_restart_brings_each_workers_successor_into_service_first(listener):
    supervisor = Supervisor(Waiting, listener, 1)
    supervisor.start()
    (before,) = supervisor.workers
    try:
        until_serving(before)
        supervisor._restart()
        (after,) = supervisor.workers
        assert after is not before
        assert after.serves
        assert before.status == 0
    finally:
        for each in {before, *supervisor.workers}:
            each.send(signal.SIGKILL)
            each.process.join(SECONDS)
