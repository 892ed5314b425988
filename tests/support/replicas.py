"""Three processes of the service with one Redis, one PostgreSQL and one bucket."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.settings import PREFIX
from fixtures.process import Running, free_port, running
from tests.support.warm_processes import popen

BUCKET = "replicas"


def shared_settings(keys: Path, redis_url: str, postgres_url: str, s3_url: str) -> dict[str, str]:
    """Return what has replicas keep everything in common."""
    return {
        "KEYS_FILE": str(keys),
        "REDIS_URL": redis_url,
        "POSTGRES_URL": postgres_url,
        "LIMITS_STORE": "redis",
        "IDEMPOTENCY_STORE": "redis",
        "CACHE": "asked",
        "CACHE_STORE": "redis",
        "USAGE_STORE": "postgres",
        "QUEUE_STORE": "postgres",
        "FILES_STORE": "s3",
        "FILES_BUCKET": BUCKET,
        "FILES_ENDPOINT_URL": s3_url,
        "IMAGE_WORKERS": "1",
        "LIFECYCLE": "false",
    }


@dataclass
class Replicas:
    """Processes that can be restarted and killed one by one."""

    settings: dict[str, str]
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(3)])
    _stacks: dict[int, ExitStack] = field(default_factory=dict)
    _processes: dict[int, Running] = field(default_factory=dict)

    def start(self, port: int) -> None:
        stack = ExitStack()
        environment = {f"{PREFIX}{name}": value for name, value in self.settings.items()}
        environment[f"{PREFIX}PORT"] = str(port)
        self._processes[port] = stack.enter_context(
            running("app", "serve", environment=environment, start=popen)
        )
        self._stacks[port] = stack

    def stop(self, port: int) -> None:
        """Have it drain and end."""
        self._stacks.pop(port).close()

    def kill(self, port: int) -> None:
        self._processes[port].process.send_signal(signal.SIGKILL)
        self._processes[port].process.wait(30)

    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]


@contextmanager
def replicas(settings: dict[str, str]) -> Iterator[Replicas]:
    """Run three until the block is left."""
    three = Replicas(settings)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(three.start, three.ports))
    try:
        yield three
    finally:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(three.stop, list(three._stacks)))


def at_once(calls: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Return the answers to all ``calls``, which are made at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]
