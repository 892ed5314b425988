"""Tunes glibc's allocator for the process. With another allocator nothing happens."""

import ctypes
import os
from enum import IntEnum

MIB = 1024 * 1024
TUNABLES = "GLIBC_TUNABLES"
"""The variable that glibc reads before a program runs."""
LARGE_PAGES = "glibc.malloc.hugetlb=1"
"""Asks for pages of 2 MiB for large blocks: a picture of 36 MB takes 9,000 of the usual pages, and
mapping them is a sixth of the cost of decoding a phone's HEIC. It has no effect if the kernel's
``transparent_hugepage`` is ``never``."""


class Knob(IntEnum):
    """Parameters of `mallopt`, with their numbers from glibc's malloc.h."""

    TRIM_THRESHOLD = -1
    """Free bytes at the heap's end above which they are returned to the system."""
    TOP_PAD = -2
    """Extra bytes by which the heap grows."""
    MMAP_THRESHOLD = -3
    """Minimum bytes of a block that is mapped by itself and returned as soon as it is freed."""
    ARENA_MAX = -8
    """Maximum number of heaps; by default each thread gets its own."""


def keep_blocks() -> None:
    """Keep freed blocks for the next request, as bodies of megabytes come and go all the time.

    Otherwise every page is zeroed and mapped again, which is a third of the CPU of a 5 MB request.
    One heap for all threads also keeps the process smaller. Nothing is changed if the operator has
    set one of glibc's own ``MALLOC_`` variables.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    _set(Knob.MMAP_THRESHOLD, 32 * MIB)
    _set(Knob.TRIM_THRESHOLD, 64 * MIB)
    _set(Knob.TOP_PAD, 16 * MIB)
    _set(Knob.ARENA_MAX, 1)


def return_blocks() -> None:
    """Return large blocks at once, as a decoder's peak is four times its idle size."""
    _set(Knob.MMAP_THRESHOLD, MIB)
    _set(Knob.ARENA_MAX, 2)


def trim() -> None:
    """Return free memory between blocks to the system, too."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def _set(knob: Knob, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(knob.value, value)
