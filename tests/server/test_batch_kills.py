"""Kills at random points of a batch: each row occurs once, and counts and cost are right.

``make test-long`` runs them, with ``KILLS=20``: twenty kills in a batch of 500 rows.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import PREFIX
from fixtures.process import ROOT, clean, free_port
from tests.support.servers.postgres import PostgresServer

KILLS = int(os.environ.get("KILLS", "2"))
ROWS = 100 + 20 * KILLS
SECONDS = 300


@dataclass
class Killable:
    """The service as a process group that can be killed and restarted."""

    folder: Path
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        names = {f"{PREFIX}{name.upper()}": text for name, text in self.settings.items()}
        names[f"{PREFIX}PORT"] = str(self.port)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                cwd=self.folder,
                env={**clean(), "PYTHONPATH": str(ROOT), **names},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def workers(self) -> list[int]:
        """Return the ids of the worker processes."""
        assert self.process is not None
        listed = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "spawn_main"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(line) for line in listed.stdout.split()]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Repeat the request until its answer does not come from a kill."""
        until = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{self.port}{path}"
                reply = httpx.request(method, url, timeout=10, **options)
                if reply.status_code < 500:
                    return reply
            assert time.monotonic() < until, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.1)


pytestmark = pytest.mark.long


@pytest.fixture
def killable(emulator_url: str) -> Iterator[Killable]:
    with tempfile.TemporaryDirectory() as folder:
        service = Killable(
            Path(folder),
            {
                "endpoint_url": emulator_url,
                "data_directory": str(Path(folder) / "data"),
                "usage_store": "memory",
                "image_workers": "1",
                "batch_concurrency": "4",
                "work_lease": "2",
            },
        )
        try:
            yield service
        finally:
            service.kill()


engines = pytest.mark.parametrize(
    "queue_settings",
    ["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))],
    indirect=True,
)


@pytest.fixture
def queue_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the settings of a queue with this engine."""
    if request.param == "sqlite":
        return {}
    server: PostgresServer = request.getfixturevalue("postgres")
    return {"queue_store": "postgres", "postgres_url": server.url}


def begun(service: Killable) -> str:
    rows = (
        {
            "custom_id": f"row-{n}",
            "method": "POST",
            "url": "/v1/generate",
            "body": {"prompt": f"Say {n}", "max_gen_len": 16},
        }
        for n in range(ROWS)
    )
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    file = service.ask(
        "POST", "/v1/files", data={"purpose": "batch"}, files={"file": ("rows.jsonl", content)}
    ).json()
    batch: str = service.ask(
        "POST", "/v1/batches", json={"input_file_id": file["id"], "endpoint": "/v1/generate"}
    ).json()["id"]
    return batch


def check_end(service: Killable, batch: str) -> None:
    until = time.monotonic() + SECONDS
    while (shown := service.ask("GET", f"/v1/batches/{batch}").json())["status"] != "completed":
        assert time.monotonic() < until, shown
        time.sleep(0.2)
    content = service.ask("GET", f"/v1/files/{shown['output_file_id']}/content").text
    output = [json.loads(line) for line in content.splitlines()]
    assert [line["custom_id"] for line in output] == [f"row-{n}" for n in range(ROWS)]
    assert shown["request_counts"] == {"total": ROWS, "completed": ROWS, "failed": 0}
    assert shown["error_file_id"] is None
    bodies = [line["response"]["body"] for line in output]
    assert shown["usage"]["total_tokens"] == sum(body["total_token_count"] for body in bodies)
    assert shown["cost_usd"] == pytest.approx(sum(body["cost_usd"]["total"] for body in bodies))


def progress(service: Killable, batch: str) -> int:
    counts: dict[str, int] = service.ask("GET", f"/v1/batches/{batch}").json()["request_counts"]
    return counts["completed"]


def killed(
    service: Killable, batch: str, kill: Callable[[], None], chance: random.Random
) -> list[int]:
    """Kill repeatedly during the batch, and return its progress at each kill."""
    reached: list[int] = []
    for n in range(KILLS):
        target = n * (ROWS - 40) // KILLS
        until = time.monotonic() + SECONDS
        while progress(service, batch) < target:
            assert time.monotonic() < until, "no row is answered any more"
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.1))
        reached.append(progress(service, batch))
        kill()
    return reached


@pytest.mark.timeout(SECONDS * 2)
@engines
def test_each_row_is_answered_once_when_the_service_is_killed(killable, queue_settings):
    killable.settings |= queue_settings
    killable.start()
    batch = begun(killable)

    def kill() -> None:
        killable.kill()
        killable.start()

    reached = killed(killable, batch, kill, random.Random(1))

    assert len(reached) == KILLS
    assert sum(count < ROWS for count in reached) >= KILLS // 2
    check_end(killable, batch)


@pytest.mark.timeout(SECONDS * 2)
@engines
def test_each_row_is_answered_once_when_a_worker_is_killed(killable, queue_settings):
    killable.settings |= {"workers": "2", **queue_settings}
    killable.start()
    batch = begun(killable)
    chance = random.Random(2)
    dead = 0

    def kill() -> None:
        nonlocal dead
        workers = killable.workers()
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
                dead += 1

    killed(killable, batch, kill, chance)

    assert dead >= KILLS // 2
    check_end(killable, batch)


@pytest.mark.timeout(SECONDS * 2)
@pytest.mark.xdist_group("postgres")
def test_each_row_is_answered_once_when_the_database_is_killed(killable, postgres: PostgresServer):
    killable.settings |= {"queue_store": "postgres", "postgres_url": postgres.url}
    killable.start()
    batch = begun(killable)

    def kill() -> None:
        assert postgres.process is not None
        postgres.process.kill()
        postgres.process.wait()
        postgres.start()

    reached = killed(killable, batch, kill, random.Random(3))

    assert len(reached) == KILLS
    check_end(killable, batch)
