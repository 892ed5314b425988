"""The service on one core, the emulator on another, and what they use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import PREFIX
from tests.support.process import running

ANSWER = "The sea is wide and blue. It moves all day and rests at night."
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Rig:
    """A running service."""

    url: str
    pid: int

    def memory_mib(self) -> float:
        """Return the resident memory of the process that serves, in MiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE / 2**20

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def rig(fault: str, **options: str) -> Iterator[Rig]:
    """Run both, with default settings but ``options``; this process shares the emulator's core."""
    cores = sorted(os.sched_getaffinity(0))
    given = ("--port", "0", "--fixed-answer", ANSWER, "--recorded-requests", "1", "--fault", fault)
    with running("app.emulator", *given) as emulator:
        os.sched_setaffinity(emulator.process.pid, {cores[-1]})
        environment = {
            "ENDPOINT_URL": emulator.url,
            "PORT": "0",
            **options,
        }
        with running("app", "serve", environment=_prefixed(environment)) as service:
            for task in Path(f"/proc/{service.process.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {cores[0]})
            os.sched_setaffinity(0, {cores[-1]})
            try:
                yield Rig(service.url, service.process.pid)
            finally:
                os.sched_setaffinity(0, set(cores))


def _prefixed(options: dict[str, str]) -> dict[str, str]:
    credentials = {"AWS_ACCESS_KEY_ID": "emulator", "AWS_SECRET_ACCESS_KEY": "emulator"}
    return {f"{PREFIX}{name.upper()}": value for name, value in options.items()} | credentials
