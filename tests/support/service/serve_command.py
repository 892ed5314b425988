"""Runs ``python -m app serve``, to serve or to fail."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.settings import PREFIX
from fixtures.process import ROOT, free_port
from tests.support.service.warm_processes import popen, run


@contextmanager
def service(folder: Path, emulator_url: str, **settings: str) -> Iterator[tuple[httpx.Client, int]]:
    """Run ``python -m app serve`` and yield a client of it and its process id."""
    port = free_port()
    named = {"port": str(port), "endpoint_url": emulator_url, "image_workers": "1", **settings}
    environment = {**os.environ, **{PREFIX + name.upper(): text for name, text in named.items()}}
    process = popen(
        [sys.executable, "-m", "app", "serve"],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            _ready(client, process)
            yield client, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def _ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert process.poll() is None, "the service ended at once"
        with contextlib.suppress(httpx.TransportError):
            if client.get("/healthz").is_success:
                return
        time.sleep(0.1)
    raise AssertionError("the service does not answer")


def start(folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m app serve`` with settings that make it fail."""
    named = {"port": "0", "image_workers": "1", "usage_store": "memory", **settings}
    environment = {**os.environ, **{PREFIX + name.upper(): text for name, text in named.items()}}
    ended: subprocess.CompletedProcess[str] = run(
        [sys.executable, "-m", "app", "serve"],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        timeout=100,
    )
    return ended
