"""Runs several processes that serve from one socket; each drains like a single one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app import telemetry
from app.main import create_app
from app.server import listener
from app.server.serving import Server
from app.server.supervisor import Supervisor
from app.settings import Settings, load
from app.telemetry.metrics import MULTIPROCESS
from app.wiring import services

log = structlog.get_logger()


def make_server() -> Server:
    """Return the server of one worker, which reads the settings itself."""
    settings = load()
    telemetry.configure(settings.log_level)
    return Server(create_app(settings, services.open_services), settings)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status."""
    bound = listener.bound(settings.host, settings.port)
    line = f"workers running on {listener.url(bound, settings.scheme)}"
    log.info(line, workers=settings.workers)
    with metrics_folder():
        return Supervisor(make_server, bound, settings.workers).run()


@contextmanager
def metrics_folder() -> Iterator[None]:
    """Provide the folder through which the workers share their metrics."""
    # Prometheus's client reads the variable when it is imported, which the workers do.
    if os.environ.get(MULTIPROCESS):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="llama-vision-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder
        yield
