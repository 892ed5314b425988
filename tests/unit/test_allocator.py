import os
import platform
import subprocess
import sys

import pytest

BLOCKS = """
import ctypes
from app import allocator

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in
        ("arena", "ordblks", "smblks", "hblks", "hblkhd", "a", "b", "c", "d", "e")]

info = ctypes.CDLL(None).mallinfo
info.restype = Info
allocator.keep_blocks()
before = info().hblks
blocks = [bytes(8_000_000) for _ in range(3)]
print(info().hblks - before)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators have no such knobs"
)


def blocks_of_the_systems_own(**environment: str) -> int:
    """Return how many of three large blocks a new process allocates outside its heap."""
    clean = {name: v for name, v in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS],
        env=clean | environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return int(done.stdout)


def test_large_blocks_come_from_a_heap_that_the_process_keeps():
    assert blocks_of_the_systems_own() == 0


def test_an_operators_own_allocator_settings_are_left_unchanged():
    assert blocks_of_the_systems_own(MALLOC_TOP_PAD_="0") == 3
