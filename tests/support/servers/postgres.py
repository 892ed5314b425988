"""A real PostgreSQL on a free port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixtures.process import free_port
from tests.support.programs.installed import program

PASSWORD = "hunter2"


def _user() -> dict[str, Any]:
    """Return the user that runs it: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


_USER = _user()


@dataclass
class PostgresServer:
    """A server that can be stopped and started again, on the same port."""

    folder: Path
    programs: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Its URL, with its password."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
            "fsync": "off", "shared_buffers": "8MB", "max_connections": 20,
        }  # fmt: skip
        said = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *said],
                cwd=self.folder, stdout=log, stderr=log, **_USER,
            )  # fmt: skip
        for _ in range(3000):
            if self._ready(self.process):
                return
            time.sleep(0.01)
        raise AssertionError("postgres does not answer")

    def stop(self) -> None:
        """Stop it; connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)
            self.process = None

    def query(self, sql: str) -> str:
        """Return psql's output for ``sql``."""
        run = subprocess.run(
            [self.programs / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url],
            cwd=self.folder, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        return run.stdout.strip()

    def wait_for_the_end_of(self, connection: int) -> None:
        """Wait until the connection with this process id has ended."""
        for _ in range(1000):
            if not self.query(f"SELECT 1 FROM pg_stat_activity WHERE pid = {connection}"):
                return
            time.sleep(0.02)
        raise AssertionError("the connection did not end")

    def _ready(self, process: "subprocess.Popen[bytes]") -> bool:
        # It accepts connections before it is ready; this file reports when it is.
        assert process.poll() is None, (self.folder / "log").read_text()
        status = self.folder / "data" / "postmaster.pid"
        lines = status.read_text().splitlines() if status.exists() else []
        return lines[:1] == [str(process.pid)] and [line.strip() for line in lines[7:]] == ["ready"]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Make a cluster without durability, run it, and delete it."""
    installed = program("postgres").resolve().parent
    # Not in pytest's own folder, which no other user can enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        programs = _copied(installed, folder) if _USER else installed
        if _USER:
            for path in (folder, folder / "password"):
                os.chown(path, _USER["user"], _USER["group"])
        _initialise(folder, programs)
        server = PostgresServer(folder, programs, free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _initialise(folder: Path, programs: Path) -> None:
    command: list[str | Path] = [
        programs / "initdb", "-D", folder / "data", "--username=postgres", "--no-sync",
        "--auth=scram-sha-256", f"--pwfile={folder / 'password'}",
        "--encoding=UTF8", "--locale=C",
    ]  # fmt: skip
    # A collation other than byte order, as most servers have; a wheel's server has none.
    for order in (("--locale-provider=icu", "--icu-locale=en-US"), ()):
        run = subprocess.run(
            [*command, *order], cwd=folder, capture_output=True, text=True, timeout=60, **_USER
        )
        if run.returncode == 0:
            return
    raise AssertionError(run.stdout + run.stderr)


def _copied(programs: Path, folder: Path) -> Path:
    """Return a folder with its programs for a user who cannot read this checkout."""
    install = programs.parents[1]
    if "tools" not in programs.parts:
        return programs
    # With its neighbours, among which its libraries are found.
    shutil.copytree(install.parent, folder / "install", symlinks=True)
    return folder / "install" / programs.relative_to(install.parent)
