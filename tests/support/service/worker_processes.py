"""The service as processes that share a port."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import httpx

from app.settings import PREFIX
from fixtures.process import Running
from fixtures.process import running as running_process
from tests.support.service.emulated import model_arn
from tests.support.service.warm_processes import popen

SECONDS = 100
"""Time limit for steps that should take one or two seconds."""


@contextmanager
def service(
    emulator_url: str, fault: str = "", workers: int = 1, **options: object
) -> Iterator[Running]:
    """Run ``workers`` processes on one port, and yield once all of them serve.

    ``options`` are settings, and OpenTelemetry's own variables.
    """
    settings = {
        "ENDPOINT_URL": emulator_url,
        "MODEL_ID": model_arn(fault),
        "PORT": 0,
        "WORKERS": workers,
        "IMAGE_WORKERS": 1,
        "USAGE_STORE": "memory",
        **options,
    }
    environment = {
        name if name.startswith("OTEL_") else f"{PREFIX}{name.upper()}": str(value)
        for name, value in settings.items()
    }
    with running_process("app", "serve", environment=environment, start=popen) as process:
        until(lambda: started(process) == workers, "not all workers started")
        yield process


def started(process: Running) -> int:
    """Return how many workers have started to serve so far."""
    return process.log().count("Application startup complete")


def until(reached: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


@cache
def callers() -> httpx.Client:
    """Return a client that opens a new connection for each request."""
    return httpx.Client(timeout=SECONDS, limits=httpx.Limits(max_keepalive_connections=0))


def ask(url: str) -> httpx.Response:
    return callers().post(f"{url}/v1/generate", json={"prompt": "Why?"})


def stop(process: Running) -> None:
    process.process.send_signal(signal.SIGTERM)
