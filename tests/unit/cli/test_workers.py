"""How several processes start, and which of them count as alive."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
import uvicorn

from app.cli import workers
from app.cli.workers import STARTING, Worker
from app.server.serving import Server


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Return a worker that serves nothing, and answers when the test does."""
    worker = Worker(uvicorn.Config("app.main:create_app"), [])
    worker.process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    yield worker
    worker.kill()
    worker.process.join()
    worker.child_conn.close()


def test_a_worker_is_alive_until_it_has_given_no_sign_for_long(worker):
    assert worker.is_alive()
    worker.heard -= STARTING
    assert not worker.is_alive()

    worker.child_conn.send(True)
    assert worker.is_alive()


def test_a_worker_that_has_ended_is_not_alive(worker):
    worker.process.kill()
    worker.process.join()

    assert not worker.is_alive()


def makers(told: Connection) -> None:
    """Run a worker that is asked for a sign of life at once; tell which threads made a server."""
    worker = Worker(uvicorn.Config("app.main:create_app"), [])
    found = []

    class Noted(Server):
        def __init__(self, *made_of: object) -> None:
            found.append(threading.current_thread().name)
            super().__init__(*made_of)  # type: ignore[arg-type]

        def run(self, sockets: object = None) -> None:
            worker.parent_conn.poll(60)

    pytest.MonkeyPatch().setattr(workers, "Server", Noted)
    worker.parent_conn.send(b"ping")
    worker.target()
    told.send(found)


def test_a_worker_makes_its_server_once_whoever_asks_it_for_a_sign_of_life():
    hearing, telling = multiprocessing.Pipe(duplex=False)
    with hearing, telling:
        process = multiprocessing.get_context("spawn").Process(target=makers, args=(telling,))
        process.start()
        assert hearing.poll(60)
        assert hearing.recv() == ["MainThread"]
        process.join()
