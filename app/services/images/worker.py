"""The code that runs inside a decoder's process."""

import logging
import os
import resource
import signal
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import pyvips
from PIL import Image

from app import allocator

T = TypeVar("T")

OUT_OF_TIME = signal.SIGPROF
"""The signal that ends a process whose CPU time is used up; no code handles it."""
NICENESS = 5
"""The event loop comes first where cores are few; 10 leaves a decoder a tenth of a busy one."""
QUIET = 1.0
"""Seconds without a picture after which memory is given back; after each it would cost a sixth of
the CPU."""


def set_up(memory: int) -> None:
    """Bound this process before it sees a picture: ``memory`` bytes of address space, one thread.

    Everything set here is global to the process, so it belongs to a process of its own.
    """
    # Pebble's own handler is Python code, which never runs while a decoder hangs in C.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.signal(OUT_OF_TIME, signal.SIG_DFL)
    # A crash is expected here; a core file of someone's picture is not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allocator.return_blocks()
    signal.signal(signal.SIGALRM, lambda *_: allocator.trim())
    os.nice(NICENESS)
    pyvips.vips_lib.vips_concurrency_set(1)
    pyvips.cache_set_max(0)
    # Loaders that libvips itself calls unsafe on untrusted bytes, even if reached by mistake.
    pyvips.block_untrusted_set(True)
    # ImageLimits bounds the pixels before any decoder is called.
    Image.MAX_IMAGE_PIXELS = None
    # Its warnings are about damaged pictures; those are told to the caller, not to the log.
    logging.getLogger("pyvips").addHandler(logging.NullHandler())


def ready(run: Callable[..., object]) -> None:
    """Answer, so that the starter knows that what ``run`` needs is imported."""


class Done(NamedTuple, Generic[T]):
    """The outcome of a piece of work, and the seconds of CPU that it took."""

    result: T
    cpu: float


def run(seconds: float, function: Callable[..., T], *arguments: object) -> Done[T]:
    """Return ``function``'s result, and give memory back if nothing follows.

    Ends the process with `OUT_OF_TIME` after so many ``seconds`` of CPU, of all its threads.
    """
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    before = time.process_time()
    try:
        return Done(function(*arguments), time.process_time() - before)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, QUIET)
