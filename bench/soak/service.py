"""The service as in production on one core, the emulator on another, and their use."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import process
from bench.peers import gateways
from bench.peers.recording import ANSWER
from fixtures.process import resident_mib, running


@dataclass(frozen=True)
class Rig:
    """A running service."""

    url: str
    pid: int
    key: str

    def memory_mib(self) -> float:
        """Return the resident memory of the process that serves, in MiB."""
        return resident_mib(self.pid)

    def cpu_seconds(self) -> float:
        return process.cpu_seconds(self.pid)


@contextmanager
def rig(fault: str, answer: str = ANSWER, **options: str) -> Iterator[Rig]:
    """Run both, with ``options`` as further settings; this process shares the emulator's core."""
    cores = process.cores()
    given = ("--port", "0", "--fixed-answer", answer, "--recorded-requests", "1", "--fault", fault)
    with process.on_core(cores[-1]), running("app.emulator", *given) as emulator, ExitStack() as on:
        with process.on_core(cores[0]):
            service, key = on.enter_context(gateways.service(emulator.url, options=options))
        yield Rig(service.url, service.process.pid, key)
