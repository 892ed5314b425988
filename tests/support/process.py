"""Commands of this repository as processes of their own, which tell the port they took."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_RUNNING = re.compile(r"running on (http://[0-9.]+:\d+)")


@dataclass(frozen=True)
class Running:
    """A command that listens."""

    process: "subprocess.Popen[bytes]"
    url: str
    output: Path

    def log(self) -> str:
        return self.output.read_text()


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean() -> dict[str, str]:
    """Return an environment with no settings, proxies and profiles of the machine's.

    Its credentials open nothing.
    """
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextmanager
def running(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Run ``python -m arguments`` until the block is left.

    In a folder of its own, where no ``.env`` is read, and with `clean` and ``environment`` only.
    """
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=directory,
                env={**clean(), "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Running(process, _url(process, output), output)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: "subprocess.Popen[bytes]", output: Path) -> str:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        found = _RUNNING.search(output.read_text())
        if found:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"it did not start:\n{output.read_text()}")
