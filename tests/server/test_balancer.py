"""Restarts of replicas behind a real nginx, configured as deploy/ and docs/operations.md show."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx

from app.settings import PREFIX, Settings
from fixtures.process import ROOT, free_port, running
from tests.support.servers.nginx import CONFIGURATION, HTTP2, balancer
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig
from tests.support.service.warm_processes import popen

KEPT = 1
"""Seconds that nginx keeps an idle connection to a replica."""


@contextmanager
def replica(emulator_url: str, port: int) -> Iterator[None]:
    """Run a replica on ``port`` until the block is left, then drain it."""
    environment = {
        f"{PREFIX}ENDPOINT_URL": emulator_url,
        f"{PREFIX}PORT": str(port),
        f"{PREFIX}IMAGE_WORKERS": "1",
        f"{PREFIX}USAGE_STORE": "memory",
    }
    with running("app", "serve", environment=environment, start=popen):
        yield


class Callers:
    """Sends one request after the other and counts the outcomes."""

    def __init__(self, url: str, number: int) -> None:
        self.statuses: Counter[int | str] = Counter()
        self._url, self._ended = url, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._ended.is_set():
                try:
                    answer = client.post("/v1/generate", json={"prompt": "Why?"})
                    self.statuses[answer.status_code] += 1
                except httpx.TransportError as error:
                    self.statuses[type(error).__name__] += 1
                self._ended.wait(0.01)

    def wait_for(self, more: int) -> None:
        """Wait until ``more`` requests have been answered."""
        until = self.statuses.total() + more
        end = time.monotonic() + 60
        while self.statuses.total() < until and time.monotonic() < end:
            time.sleep(0.02)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)


def test_replicas_restarted_in_turn_behind_nginx_lose_no_request(emulator_url):
    ports = free_port(), free_port()
    with ExitStack() as stack:
        replicas = [stack.enter_context(ExitStack()) for _ in ports]
        for each, port in zip(replicas, ports, strict=True):
            each.enter_context(replica(emulator_url, port))
        callers = Callers(stack.enter_context(balancer(*ports)), 4)
        try:
            callers.wait_for(50)
            for each, port in zip(replicas, ports, strict=True):
                each.close()
                callers.wait_for(20)
                each.enter_context(replica(emulator_url, port))
            callers.wait_for(20)
        finally:
            callers.end()

    assert set(callers.statuses) == {200}
    assert callers.statuses[200] >= 110


def test_a_page_served_through_nginx_is_same_origin():
    """Over plain HTTP browsers send only the origin, not Sec-Fetch-Site."""
    with serving(Rig().app()) as url, balancer(urlsplit(url).port or 0) as balanced:
        answer = httpx.post(
            f"{balanced}/v1/generate", json={"prompt": "Why?"}, headers={"Origin": balanced}
        )

    assert answer.status_code == 200, answer.text


def test_the_keep_alive_is_longer_than_that_of_load_balancers():
    settings = Settings(_env_file=None)

    assert settings.keep_alive > 60
    assert settings.shutdown_idle > 2 * KEPT
    for configuration in (CONFIGURATION, ROOT / "deploy" / "compose" / "nginx.conf"):
        assert f"keepalive_timeout {KEPT}s;" in configuration.read_text()


def test_the_page_about_restarts_shows_the_tested_configuration():
    page = (ROOT / "docs" / "operations.md").read_text()

    assert HTTP2.splitlines()[0].strip() in page
    for line in ("max_fails=0", f"keepalive_timeout {KEPT}s", "deploy/nginx/llama-vision.conf"):
        assert line in page
