"""The service process of a run, which ends with the run, even if the run is killed."""

import os
import signal
import sys
from collections.abc import Callable
from threading import Thread

from app.cli import serve

STDIN = 0


def follow(descriptor: int, end: Callable[[], None]) -> Thread:
    """Call ``end`` from a thread once the other end of the pipe ``descriptor`` is closed."""

    def wait() -> None:
        while os.read(descriptor, 1024):
            pass
        end()

    thread = Thread(target=wait, daemon=True)
    thread.start()
    return thread


def main() -> int:
    """Serve until SIGTERM, or until the parent process, which holds standard input, is gone."""
    follow(STDIN, lambda: os.kill(os.getpid(), signal.SIGTERM))
    return serve.run()


if __name__ == "__main__":
    sys.exit(main())
