"""What ``python -m app dev`` shows for a start."""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.cli.dev import EMULATOR_PORT, emulator_port
from app.settings import PREFIX
from tests.support.access import add_key

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Run one at a time, whichever process runs it: two would take the emulator's port at once."""
    with (Path(tempfile.gettempdir()) / "llama-vision-dev.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def dev(folder: Path, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    named = {"port": str(port), "image_workers": "1", "usage_store": "memory", **settings}
    environment = {**os.environ, **{PREFIX + name.upper(): text for name, text in named.items()}}
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "dev"],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_another_port_is_taken_where_the_emulators_is():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Whoever else has it does as well.
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", EMULATOR_PORT))
            taken.listen()

        assert emulator_port() != EMULATOR_PORT


@pytest.mark.parametrize("guarded", [False, True])
def test_it_asks_a_first_question_or_says_why_it_can_not(tmp_path, guarded):
    settings = {}
    if guarded:
        add_key(tmp_path / "keys.json")
        settings = {"keys_file": str(tmp_path / "keys.json"), "public_readiness": "false"}

    told = []
    with dev(tmp_path, **settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if line.startswith("Serving on "):
                break

    text = "".join(told)
    assert ("POST http" in text, "asked: this service is set to ask for keys" in text) == (
        not guarded,
        guarded,
    )
    assert "credentials_missing" not in text


def test_a_port_that_is_taken_is_one_sentence_and_starts_nothing(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        run = subprocess.run(
            [sys.executable, "-m", "app", "dev"],
            env={**os.environ, "PYTHONPATH": str(ROOT), f"{PREFIX}PORT": str(port)},
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    other = f"Choose another one: make run PORT={port + 1}"
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"Port {port} is taken. {other}\n"
