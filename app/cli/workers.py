"""Several processes that serve from one socket. Each drains as a single one does."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from app import telemetry
from app.main import create_app
from app.server.serving import Server
from app.settings import Settings, load
from app.telemetry.metrics import MULTIPROCESS
from app.wiring import services

STARTING = 30
"""Seconds without a sign of life after which a worker is replaced, also while it starts.

With little CPU that takes more than uvicorn's five, and the next one would fare no better."""


class Worker(multiprocess.Process):
    """A process that runs our server in place of uvicorn's own."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.heard = time.monotonic()

    def is_alive(self, timeout: float = STARTING) -> bool:
        """Ask for a sign of life, and tell whether the last one was within ``timeout`` seconds.

        uvicorn waits for the answer: a worker that hangs would keep signals from the others.
        """
        if not self.process.is_alive():
            return False
        with suppress(OSError, EOFError):  # of one that ends
            self.parent_conn.send(b"ping")
            while self.parent_conn.poll():
                self.parent_conn.recv()
                self.heard = time.monotonic()
        return time.monotonic() - self.heard < timeout

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, and end in peace after SIGINT, which uvicorn raises again when it has ended."""
        with suppress(KeyboardInterrupt):
            settings = load()
            telemetry.configure(settings.log_level)
            # Before uvicorn starts the thread that answers for it, which would make one of its own.
            self._server = Server(create_app(settings, services.open_services), settings)
            super().target(sockets)

    def join(self) -> None:
        """Wait for its end, and take its gauges out of what the others show: it may have died."""
        super().join()
        mark_process_dead(self.pid)  # type: ignore[no-untyped-call]


class Supervisor(multiprocess.Multiprocess):
    """Starts the workers, replaces those that die, and has all drain together."""

    def terminate_all(self) -> None:
        """Have the workers drain, and leave the listening to them.

        While anyone has the socket open the kernel goes on making connections: those of after
        the drain would wait for workers who no longer take any.
        """
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    def join_all(self) -> None:
        """Wait for the workers, and pass on a second signal, which ends their delay."""
        while running := [w.process for w in self.processes if w.process.is_alive()]:
            running[0].join(0.1)
            if not {signal.SIGINT, signal.SIGTERM}.isdisjoint(self.signal_queue):
                for process in running:
                    if process.is_alive() and process.pid is not None:
                        # Of two SIGTERM that wait for a busy worker the kernel keeps one.
                        os.kill(process.pid, signal.SIGINT)
                break
        super().join_all()


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    # The supervisor reads the number of workers and the address; the rest is each worker's.
    config = uvicorn.Config(
        "app.main:create_app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=None,
        timeout_worker_healthcheck=STARTING,
    )
    # The supervisor has no other way to be told which server its processes run.
    multiprocess.Process = Worker  # type: ignore[misc]
    with metrics_folder():
        supervisor = Supervisor(config, sockets=[config.bind_socket()])
        supervisor.run()
    # It ends by itself, and in peace, where a worker can't start.
    failed = any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


@contextmanager
def metrics_folder() -> Iterator[None]:
    """Give the workers a folder to put their numbers together in."""
    # Prometheus's client reads the variable itself, when it is imported: in the workers.
    if os.environ.get(MULTIPROCESS):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="llama-vision-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder
        yield
