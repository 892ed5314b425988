"""Commands of the service as processes of their own that need not import it first.

To import the service takes two seconds of a core, and hundreds of tests start it. One process for
each process of tests has imported it; a command is a fork of that one, which enters the module as
``python -m`` does. What reads the environment while it is imported is started the usual way.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from fixtures.process import ROOT, clean

IMPORTED = ("app.cli.serve", "uvicorn.lifespan.on", "uvicorn.loops.uvloop", "uvloop")
AT_IMPORT = ("PYTHON", "OTEL_", "PROMETHEUS_", "MALLOC_", "LD_PRELOAD")
"""Variables that Python and libraries read before the service's own code runs."""

ASKING = threading.Lock()


class Warm:
    """A process with the interface of `subprocess.Popen`, forked from a warm one."""

    def __init__(self, arguments: list[str], status: socket.socket) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._status = status
        self.pid = int(self._line())

    def _line(self) -> str:
        text = b""
        while not text.endswith(b"\n"):
            piece = self._status.recv(1)
            assert piece, "the forking process has ended"
            text += piece
        return text.decode()

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._line())
            self._status.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def popen(
    arguments: list[str],
    *,
    cwd: "str | Path",
    env: Mapping[str, str],
    stdout: "IO[bytes] | int",
    stderr: "IO[bytes] | int | None" = None,
    start_new_session: bool = False,
) -> Any:
    """Start ``python -m ...`` as `subprocess.Popen` does."""
    early = {name: env[name] for name in env if name.startswith(AT_IMPORT)}
    if any(text != _early().get(name) for name, text in early.items()):
        return subprocess.Popen(
            arguments, cwd=cwd, env=env, stdout=stdout, stderr=stderr,
            start_new_session=start_new_session,
        )  # fmt: skip
    python, flag, *words = arguments
    assert (python, flag) == (sys.executable, "-m")
    out = os.open(os.devnull, os.O_WRONLY) if stdout == subprocess.DEVNULL else _number(stdout)
    error = out if stderr == subprocess.STDOUT else 2 if stderr is None else _number(stderr)
    here, there = socket.socketpair()
    asked = {"words": words, "cwd": str(cwd), "env": dict(env), "session": start_new_session}
    with there:
        content = json.dumps(asked).encode()
        with ASKING:
            control = _control()
            size = len(content).to_bytes(4, "big")
            socket.send_fds(control, [size], [out, error, there.fileno()])
            control.sendall(content)
    if stdout == subprocess.DEVNULL:
        os.close(out)
    return Warm(arguments, here)


def run(arguments: list[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> Any:
    """Run ``python -m ...`` to its end, and return its status and what it wrote."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        process = popen(arguments, cwd=cwd, env=env, stdout=out, stderr=error)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        told = []
        for file in (out, error):
            file.seek(0)
            told.append(file.read().decode())
        return subprocess.CompletedProcess(arguments, process.returncode, *told)


def _number(file: "IO[bytes] | int") -> int:
    return file if isinstance(file, int) else file.fileno()


@functools.cache
def _early() -> dict[str, str]:
    """Return the environment that Python has already read in the forking process."""
    own = {name: text for name, text in os.environ.items() if name.startswith("PYTHON")}
    return {**own, "PYTHONPATH": str(ROOT)}


@functools.cache
def _control() -> socket.socket:
    """Return the channel to the forking process, which is started on first use."""
    here, there = socket.socketpair()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(there.fileno())],
            env={**clean(), **_early()},
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        here.close()
        process.wait(30)

    atexit.register(end)
    return here


def _forked(control: socket.socket) -> dict[str, Any] | None:
    """Return the command in each fork, and None once the channel is closed."""
    while True:
        size, numbers, _, _ = socket.recv_fds(control, 4, 3)
        if not size:
            return None
        content = b""
        while len(content) < int.from_bytes(size, "big"):
            content += control.recv(int.from_bytes(size, "big") - len(content))
        if os.fork() == 0:
            control.close()
            _watched(*numbers)
            asked: dict[str, Any] = json.loads(content)
            return asked
        for number in numbers:
            os.close(number)


def _watched(out: int, error: int, status: int) -> None:
    """Return in a forked child, whose id and exit status are sent over ``status``."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        os.write(status, b"%d\n" % child)
        for number in (out, error):
            os.close(number)
        _, code = os.waitpid(child, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(code))
        os._exit(0)
    os.close(status)
    for number, to in ((out, 1), (error, 2)):
        os.dup2(number, to)
    for number in {out, error} - {1, 2}:
        os.close(number)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def main() -> None:
    """Import, fork for each command, and run it in the fork."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in IMPORTED:
        __import__(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    asked = _forked(control)
    if asked is None:
        return
    gc.unfreeze()
    if asked["session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.path[0] = asked["cwd"]
    sys.argv = asked["words"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
