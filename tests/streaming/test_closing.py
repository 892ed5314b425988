"""Requests not yet admitted when the grace time ends: docs/reliability.md."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.clients.half_sent import CLAIMED, answered, half_sent, nearly_sent, until_active
from tests.support.clients.problem import problem
from tests.support.service.worker_processes import SECONDS, ask, service, stop


def test_after_the_grace_time_a_half_sent_body_gets_503(emulator_url):
    with (
        service(emulator_url, "", shutdown_grace=0.5) as process,
        half_sent(process.url) as half,
    ):
        until_active(process.url, 1)
        stop(process)
        status, raw = answered(half)

        assert (status, b"shutting_down" in raw) == (503, True)
        assert process.process.wait(SECONDS) == 0


def test_after_the_grace_time_requests_waiting_for_memory_get_503(emulator_url):
    room = {"max_bytes_in_flight": CLAIMED, "max_body_bytes": CLAIMED, "max_image_bytes": CLAIMED}
    with (
        service(emulator_url, "", shutdown_grace=0.5, admission_timeout=20, **room) as process,
        nearly_sent(process.url),
        ThreadPoolExecutor(1) as pool,
    ):
        until_active(process.url, 1)
        waiting = pool.submit(ask, process.url)
        until_active(process.url, 2)
        stop(process)

        answer: httpx.Response = waiting.result(SECONDS)
        problem(answer, 503, "shutting_down")
        assert process.process.wait(SECONDS) == 0
