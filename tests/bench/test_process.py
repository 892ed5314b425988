import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from bench import process
from fixtures.process import resident_mib

# It allocates memory of its own, as shared memory is counted proportionally.
GRANDCHILD = "import sys; held = b'x' * 2**23; print(flush=True); sys.stdin.read()"
ONCE_LARGE = f"large = b'x' * 2**26; del large; {GRANDCHILD}"
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"


@contextmanager
def family(grandchild=GRANDCHILD):
    """Run a process that waits for another, and yield its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.format(grandchild)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.communicate()


def test_workers_are_all_descendants_of_the_process():
    with family() as pid:
        found = process.workers(pid)

        assert len(found) == 1
        assert {pid, *found} <= set(process.workers(os.getpid()))


def test_cpu_seconds_grow_with_work():
    before = process.cpu_seconds(os.getpid())
    while process.cpu_seconds(os.getpid()) < before + 0.05:
        sum(range(10_000))

    assert process.use(os.getpid()).main >= before + 0.05


def test_peak_memory_is_measured_since_the_last_reset():
    held = bytearray(b"x" * 64 * 2**20)
    with_it = process.peak(os.getpid()).main
    del held
    process.forget_peaks(os.getpid())

    assert process.peak(os.getpid()).main < with_it - 50
    assert process.peak(os.getpid()).main >= resident_mib(os.getpid()) * 0.9


def test_without_linux_one_line_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")

    with pytest.raises(SystemExit, match=r"^This needs Linux.*\.$"):
        process.cores()


def test_a_process_started_on_a_core_stays_there_and_its_parent_moves_back():
    before = os.sched_getaffinity(0)
    with process.on_core(min(before)):
        run = [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"]
        printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout

    assert printed.strip() == str({min(before)})
    assert os.sched_getaffinity(0) == before


def test_memory_is_summed_over_every_process():
    with family() as pid:
        found = process.peak(pid)

    assert found.main > 3
    assert found.workers > 3


def test_the_peak_of_workers_counts_memory_they_have_released():
    with family(ONCE_LARGE) as pid:
        most = process.peak(pid).workers
        process.forget_peaks(pid)

        assert most > 64
        assert process.peak(pid).workers < most - 50


def test_a_process_that_has_ended_cannot_be_measured():
    with family() as pid:
        pass

    with pytest.raises(OSError, match=str(pid)):
        process.use(pid)
