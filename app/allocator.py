"""glibc's allocator, told what the process is for. Where there is another one nothing happens."""

import ctypes
import os
from enum import IntEnum

MIB = 1024 * 1024
TUNABLES = "GLIBC_TUNABLES"
"""The variable that glibc reads before a program runs."""
LARGE_PAGES = "glibc.malloc.hugetlb=1"
"""Ask for pages of 2 MiB for large blocks: a picture of 36 MB is 9,000 of the usual ones, and
mapping them is a sixth of what decoding a phone's HEIC costs. Where the kernel's
``transparent_hugepage`` is ``never`` nothing happens."""


class Knob(IntEnum):
    """Parameters of `mallopt`; numbers from glibc's malloc.h."""

    TRIM_THRESHOLD = -1
    """Bytes free at the heap's end from which on they go back to the system."""
    TOP_PAD = -2
    """Bytes more than needed that the heap grows by."""
    MMAP_THRESHOLD = -3
    """Bytes from which on a block is the system's own and goes back as soon as it is freed."""
    ARENA_MAX = -8
    """Heaps; each thread would like its own."""


def keep_blocks() -> None:
    """Keep freed blocks for the next request: bodies of megabytes come and go all the time.

    Taken anew from the system, every page of them is zeroed and mapped again, a third of the
    CPU of a 5 MB request; and with one heap for all threads the process holds less in the end.
    An operator who set one of glibc's own ``MALLOC_`` variables is left to it.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    _set(Knob.MMAP_THRESHOLD, 32 * MIB)
    _set(Knob.TRIM_THRESHOLD, 64 * MIB)
    _set(Knob.TOP_PAD, 16 * MIB)
    _set(Knob.ARENA_MAX, 1)


def return_blocks() -> None:
    """Give large blocks back at once: a decoder's peak is four times what it needs at rest."""
    _set(Knob.MMAP_THRESHOLD, MIB)
    _set(Knob.ARENA_MAX, 2)


def trim() -> None:
    """Give back what is free between blocks too."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def _set(knob: Knob, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(knob.value, value)
