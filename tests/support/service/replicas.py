"""Three processes of the service with one Redis, one PostgreSQL and one bucket."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.adapters.receipts import signing_keys
from app.domain.access import Scope
from app.settings import PREFIX
from fixtures.process import Running, free_port, running
from tests.support.servers.nginx import balancer
from tests.support.servers.postgres import postgres_server
from tests.support.servers.s3 import make_bucket, s3_client, s3_server
from tests.support.service.access import add_key, bearer
from tests.support.service.emulated import model_arn
from tests.support.service.warm_processes import popen

BUCKET = "replicas"
PATIENCE = 60
"""Seconds that replicas wait for Redis.

With the default two seconds, and a quarter for the cache, a replica of a busy machine would call
the model itself.
"""


def shared_settings(keys: Path, redis_url: str, postgres_url: str, s3_url: str) -> dict[str, str]:
    """Return the settings with which replicas share all state."""
    return {
        "KEYS_FILE": str(keys),
        "REDIS_URL": f"{redis_url}?socket_timeout={PATIENCE}&socket_connect_timeout={PATIENCE}",
        "POSTGRES_URL": postgres_url,
        "LIMITS_STORE": "redis",
        "IDEMPOTENCY_STORE": "redis",
        "CACHE": "asked",
        "CACHE_STORE": "redis",
        "CACHE_TIMEOUT": str(PATIENCE),
        "USAGE_STORE": "postgres",
        "QUEUE_STORE": "postgres",
        "FILES_STORE": "s3",
        "FILES_BUCKET": BUCKET,
        "FILES_ENDPOINT_URL": s3_url,
        "IMAGE_WORKERS": "1",
        "LIFECYCLE": "false",
        "KNOWLEDGE_BASES": '{"sample": {"id": "SAMPLEKB01", "image_queries": true}}',
        "WORK_LEASE": "2",
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
        """Drain and stop it."""
        self._stacks.pop(port).close()

    def kill(self, port: int) -> None:
        self._processes[port].process.send_signal(signal.SIGKILL)
        self._processes[port].process.wait(30)

    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]


@contextmanager
def replicas(settings: dict[str, str]) -> Iterator[Replicas]:
    """Run three replicas until the block is left."""
    three = Replicas(settings)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(three.start, three.ports))
    try:
        yield three
    finally:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(three.stop, list(three._stacks)))


@dataclass
class Rehearsal:
    """Three replicas, their balancer and their callers."""

    three: Replicas
    balanced: str
    emulator_url: str
    key: str
    """A key with every right."""
    bounded: str
    """A key limited to twenty requests a day."""

    @property
    def caller(self) -> str:
        """The id of ``key``."""
        return self.key.split("_")[1]

    def ask(self, url: str, key: str, prompt: str, **headers: str) -> httpx.Response:
        """Return the replica's answer to a prompt."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            f"{url}/v1/generate",
            json={"prompt": prompt, "temperature": 0},
            headers={**bearer(key), **named},
            timeout=60,
        )

    def request(self, url: str, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the replica's answer to any request."""
        headers = {**bearer(self.key), **options.pop("headers", {})}
        return httpx.request(method, f"{url}{path}", headers=headers, timeout=60, **options)

    def calls(self) -> int:
        """Return the number of the model's calls so far."""
        asked = {"model_id": self.three.settings["MODEL_ID"]}
        url = f"{self.emulator_url}/_emulator/requests"
        return len(httpx.get(url, params=asked).json()["requests"])


@contextmanager
def rehearsed(folder: Path, emulator_url: str, redis_url: str) -> Iterator[Rehearsal]:
    """Run three replicas behind nginx with one Redis, one PostgreSQL and one bucket."""
    free = add_key(folder / "keys.json", *Scope)
    bounded = add_key(folder / "keys.json", *Scope, limits={"requests": "20/day"})
    with postgres_server() as postgres, s3_server() as s3_url:
        make_bucket(s3_client(s3_url), BUCKET)
        settings = shared_settings(folder / "keys.json", redis_url, postgres.url, s3_url)
        signing_keys.append(folder / "signing-keys", b"\x04" * 32)
        settings["RECEIPT_KEY_FILE"] = str(folder / "signing-keys")
        settings |= {
            "ENDPOINT_URL": emulator_url,
            "RETRIEVAL_ENDPOINT_URL": emulator_url,
            "MODEL_ID": model_arn(),
        }
        with replicas(settings) as three, balancer(*three.ports) as balanced:
            yield Rehearsal(three, balanced, emulator_url, free, bounded)


def at_once(calls: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Make all ``calls`` concurrently and return their answers."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]
