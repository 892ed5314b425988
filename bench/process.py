"""Processes' use of CPU and memory on Linux, and their cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PPID, _UTIME, _STIME = 1, 11, 12
"""Places in /proc/PID/stat, counted from after the name."""


@dataclass(frozen=True, slots=True)
class Use:
    """CPU seconds used so far."""

    main: float
    workers: float
    """CPU of the processes that it started, and theirs."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Most memory since `forget_peaks`, MiB."""

    main: float
    workers: float
    """The sum of each one's peak; pages that processes share count in parts."""


def cores() -> list[int]:
    """Return the cores that this process may use; end it where it does not run on Linux."""
    if not hasattr(os, "sched_getaffinity"):
        raise SystemExit("This needs Linux: what /proc tells, and processes kept on cores.")
    return sorted(os.sched_getaffinity(0))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process, and those it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def workers(pid: int) -> list[int]:
    """Return the processes that ``pid`` started and that they started."""
    children = [each for each, fields in _processes() if int(fields[_PPID]) == pid]
    return [*children, *(each for child in children for each in workers(child))]


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that ``pid`` has used, all its threads together."""
    fields = _fields(Path("/proc", str(pid)))
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICK


def use(pid: int) -> Use:
    """Return the CPU of ``pid`` and its workers so far."""
    return Use(cpu_seconds(pid), sum(map(cpu_seconds, workers(pid))))


def forget_peaks(pid: int) -> None:
    """Reset the peaks of ``pid`` and of its workers."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    for each in workers(pid):
        with suppress(OSError):  # It ended while we looked.
            Path(f"/proc/{each}/clear_refs").write_text("5")


def peak(pid: int) -> Peak:
    """Return the most memory of ``pid``, and that of its workers."""
    return Peak(high_water_mib(pid), sum(map(_most, workers(pid))))


def high_water_mib(pid: int) -> float:
    """Return the most resident memory of ``pid`` so far, or since `forget_peaks`, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    # A process that has just ended has no memory left.
    found = [line for line in lines if line.startswith("VmHWM")]
    return int(found[0].split()[1]) / 1024 if found else 0


def _most(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        most = high_water_mib(pid)
    except OSError:
        return 0  # It ended while we looked.
    fields = {line.partition(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    # What it has given back was its own.
    return fields["Pss"] + max(0, most - fields["Rss"])


def _processes() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), _fields(entry)
            except OSError:
                continue  # It ended while we looked.


def _fields(entry: Path) -> list[str]:
    return (entry / "stat").read_text().rpartition(")")[2].split()
