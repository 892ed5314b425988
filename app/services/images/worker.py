"""What runs inside a decoder's process."""

import logging
import os
import resource
import signal
from collections.abc import Callable
from typing import TypeVar

import pyvips
from PIL import Image

from app import allocator

T = TypeVar("T")

NICENESS = 10
QUIET = 1.0
"""Seconds without a picture after which memory is given back; after each it would cost a sixth of
the CPU."""


def set_up(memory: int) -> None:
    """Bound this process before it sees a picture: ``memory`` bytes of address space, one thread.

    Everything set here is global to the process, so it belongs to a process of its own.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # A crash is expected here; a core file of someone's picture is not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allocator.return_blocks()
    signal.signal(signal.SIGALRM, lambda *_: allocator.trim())
    # The event loop comes first where cores are few.
    os.nice(NICENESS)
    pyvips.vips_lib.vips_concurrency_set(1)
    pyvips.cache_set_max(0)
    # Loaders that libvips itself calls unsafe on untrusted bytes, even if reached by mistake.
    pyvips.block_untrusted_set(True)
    # ImageLimits bounds the pixels before any decoder is called.
    Image.MAX_IMAGE_PIXELS = None
    # Its warnings are about damaged pictures; those are told to the caller, not to the log.
    logging.getLogger("pyvips").addHandler(logging.NullHandler())


def run(function: Callable[..., T], *arguments: object) -> T:
    """Return what ``function`` makes of ``arguments``, and give memory back if nothing follows."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        return function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, QUIET)
