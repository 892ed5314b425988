"""The service on one core, the emulator on another, and what they use."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from app.settings import PREFIX
from bench import process
from bench.recorded import ANSWER
from tests.support.process import running


@dataclass(frozen=True)
class Rig:
    """A running service."""

    url: str
    pid: int

    def memory_mib(self) -> float:
        """Return the resident memory of the process that serves, in MiB."""
        return process.resident_mib(self.pid)

    def cpu_seconds(self) -> float:
        return process.cpu_seconds(self.pid)


@contextmanager
def rig(fault: str, **options: str) -> Iterator[Rig]:
    """Run both, with default settings but ``options``; this process shares the emulator's core."""
    cores = sorted(os.sched_getaffinity(0))
    given = ("--port", "0", "--fixed-answer", ANSWER, "--recorded-requests", "1", "--fault", fault)
    with process.on_core(cores[-1]), running("app.emulator", *given) as emulator, ExitStack() as on:
        environment = {"ENDPOINT_URL": emulator.url, "PORT": "0", **options}
        with process.on_core(cores[0]):
            serving = running("app", "serve", environment=_prefixed(environment))
            service = on.enter_context(serving)
        yield Rig(service.url, service.process.pid)


def _prefixed(options: dict[str, str]) -> dict[str, str]:
    return {f"{PREFIX}{name.upper()}": value for name, value in options.items()}
