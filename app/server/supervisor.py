"""Supervises several processes that serve from one socket."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue

import structlog
import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE

SILENCE = 30.0
"""Seconds without a reply after which a worker is replaced."""
START = 180.0
"""Seconds until the first reply: a start takes two seconds of a core, of which a container may have
a twentieth."""
LOOK = 0.5
"""Seconds between checks of the workers."""
END: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
SIGNALS = (*END, signal.SIGHUP)

MakeServer = Callable[[], uvicorn.Server]
"""Makes the server of one worker. It must be a module's function, as workers are spawned."""

log = structlog.get_logger()


class Worker:
    """A process that serves, and replies to pings."""

    def __init__(self, make: MakeServer, sockets: list[socket.socket]) -> None:
        self._pipe, answers = Pipe()
        self.process = get_context("spawn").Process(target=_serve, args=(make, sockets, answers))
        self.process.start()
        answers.close()
        self.heard = time.monotonic()
        self.patience = START
        self.serves = False

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def status(self) -> int | str | None:
        """The exit status, or the name of the signal that ended it; None while it runs."""
        code = self.process.exitcode
        return code if code is None or code >= 0 else signal.Signals(-code).name

    def is_alive(self) -> bool:
        """Send a ping, and tell whether the last reply is recent enough.

        The reply is not waited for, as a worker that hangs must not keep signals from the others.
        """
        if not self.process.is_alive():
            return False
        with suppress(OSError, EOFError):  # from a worker that is ending
            self._pipe.send(b"ping")
            while self._pipe.poll():
                self.serves = self._pipe.recv()
                self.heard, self.patience = time.monotonic(), SILENCE
        return time.monotonic() - self.heard < self.patience

    def send(self, number: int) -> None:
        """Send the worker a signal."""
        if self.process.is_alive():
            os.kill(self.pid, number)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the worker's end, and tell whether it has ended.

        Its gauges are then removed from the totals, as it may have been killed.
        """
        self.process.join(timeout)
        if self.process.exitcode is None:
            return False
        self._pipe.close()
        mark_process_dead(self.pid)  # type: ignore[no-untyped-call]
        return True


def _serve(make: MakeServer, sockets: list[socket.socket], answers: Connection) -> None:
    """Serve, in a worker. SIGINT, which uvicorn raises again at its end, is ignored."""
    with suppress(KeyboardInterrupt):
        server = make()
        threading.Thread(target=_answer, args=(server, answers), daemon=True).start()
        server.run(sockets)


def _answer(server: uvicorn.Server, answers: Connection) -> None:
    with suppress(OSError, EOFError):  # when the supervisor is gone
        while True:
            answers.recv()
            answers.send(server.started)


class Supervisor:
    """Starts workers, replaces those that die, and drains all of them together."""

    def __init__(self, make: MakeServer, listener: socket.socket, number: int) -> None:
        """Supervise ``number`` workers on ``listener``, each with a server from ``make``."""
        self._make, self._listener = make, listener
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._failed = False
        self._number = number
        self.workers: list[Worker] = []

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT, and return the exit status. SIGHUP restarts."""
        for number in SIGNALS:
            signal.signal(number, lambda number, _: self._signals.put(number))
        self.start()
        while not self._failed:
            signal_number = self._next(LOOK)
            if signal_number in END:
                break
            if signal_number == signal.SIGHUP:
                self._restart()
            self._replace_dead()
        self._drain()
        return STARTUP_FAILURE if self._failed else 0

    def start(self) -> None:
        """Start the workers."""
        self.workers = [self._start() for _ in range(self._number)]

    def _next(self, seconds: float) -> int | None:
        with suppress(Empty):
            return self._signals.get(timeout=seconds)
        return None

    def _start(self) -> Worker:
        return Worker(self._make, [self._listener])

    def _replace_dead(self) -> None:
        for position, worker in enumerate(self.workers):
            if worker.is_alive():
                continue
            hung = worker.status is None
            worker.send(signal.SIGKILL)
            worker.join()
            if worker.status == STARTUP_FAILURE:
                # Another worker would fail in the same way.
                log.error("a worker can't start", pid=worker.pid, status=worker.status)
                self._failed = True
                return
            log.warning("a worker died", pid=worker.pid, status=worker.status, hung=hung)
            self.workers[position] = self._start()

    def _restart(self) -> None:
        """Replace each worker by a new one, which serves before the old one is stopped."""
        for position, worker in enumerate(self.workers):
            successor = self._start()
            end = time.monotonic() + START
            while successor.is_alive() and not successor.serves and time.monotonic() < end:
                time.sleep(0.1)
            if not successor.serves:
                log.error("a worker's successor does not start", pid=successor.pid)
                successor.send(signal.SIGKILL)
                successor.join()
                return
            self.workers[position] = successor
            worker.send(signal.SIGTERM)
            worker.join()

    def _drain(self) -> None:
        """Drain the workers, close this process's socket, and pass on a second signal.

        While any process has the socket open, the kernel establishes connections; those made after
        the drain would wait for workers that no longer accept any.
        """
        for worker in self.workers:
            worker.send(signal.SIGTERM)
        self._listener.close()
        for worker in self.workers:
            while not worker.join(0.1):
                if self._next(0) in END:
                    for other in self.workers:
                        # The kernel keeps only one of two SIGTERMs that a busy worker has not
                        # handled.
                        other.send(signal.SIGINT)
