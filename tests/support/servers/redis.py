"""A real redis-server on a free port."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures.process import free_port
from tests.support.programs.installed import program


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a server that keeps nothing on disk, and yield its URL."""
    port = free_port()
    server = subprocess.Popen(
        [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
         "--appendonly", "no", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(port: int, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(1000):
        assert server.poll() is None, "redis-server ended at once"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError("redis-server does not answer")
