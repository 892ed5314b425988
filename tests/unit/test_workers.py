"""Which of several processes count as alive."""

import multiprocessing
import time
from collections.abc import Iterator

import pytest
import uvicorn

from app.workers import STARTING, Worker


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
