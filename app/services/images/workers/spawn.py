"""Starts decoder processes without the service's secrets in their environment."""

import io
import os
import subprocess
from multiprocessing import popen_fork, reduction, resource_tracker, spawn, util
from multiprocessing.context import SpawnContext, SpawnProcess, set_spawning_popen
from multiprocessing.popen_spawn_posix import Popen as SpawnPopen
from typing import Any

from app import allocator

KEPT = frozenset(
    {"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", allocator.TUNABLES}
)
KEPT_STARTS = ("PYTHON", "LC_", "MALLOC_", "VIPS_", "COVERAGE_")
"""Prefixes of variables for a decoder process, which exclude AWS keys, tokens and settings."""
_MAIN = ("init_main_from_name", "init_main_from_path")
"""Keys that make a child import the whole program, which a decoder does not need."""


def environment() -> dict[str, str]:
    """Return the variables of this process's environment that a decoder gets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith(KEPT_STARTS)
    }
    return {allocator.TUNABLES: allocator.LARGE_PAGES, **kept}


class _Popen(SpawnPopen):
    """Starts a process like multiprocessing, but with a reduced environment.

    The standard library passes the whole environment to every child, and variables removed after
    the start can still be read in ``/proc/self/environ``.
    """

    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:  # noqa: ANN401 - the standard library's own
        tracker = resource_tracker.getfd()
        if tracker is not None:
            self._fds.append(tracker)
        preparation = spawn.get_preparation_data(process_obj.name)
        for name in _MAIN:
            preparation.pop(name, None)
        described = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(preparation, described)
            reduction.dump(process_obj, described)
        finally:
            set_spawning_popen(None)
        child_reads, parent_writes = os.pipe()
        parent_reads, child_writes = os.pipe()
        command = spawn.get_command_line(tracker_fd=tracker, pipe_handle=child_reads)
        passed = [*self._fds, child_reads, child_writes]
        child = subprocess.Popen(command, env=environment(), pass_fds=passed)  # noqa: S603 - ours
        # Multiprocessing waits for the process by its id.
        child.returncode = 0
        self.pid, self.sentinel = child.pid, parent_reads
        self.finalizer = _closing(self, parent_reads, parent_writes)
        os.close(child_reads)
        os.close(child_writes)
        with open(parent_writes, "wb", closefd=False) as pipe:
            pipe.write(described.getbuffer())


def _closing(popen: popen_fork.Popen, *ends: int) -> Any:  # noqa: ANN401 - has no public type
    return util.Finalize(popen, _close, ends)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: ANN401, N802 - the standard library's own
        return _Popen(process_obj)


class DecoderContext(SpawnContext):
    """A multiprocessing context whose processes get only `environment`.

    Processes are spawned, because a fork of a process with threads can deadlock in the child, and
    a fresh process starts in a tenth of a second.
    """

    Process = _Process
