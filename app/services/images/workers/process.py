"""The code that runs in a decoder process."""

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
"""The signal that ends a process whose CPU time is used up; it has no handler."""
NICENESS = 5
"""Niceness that gives the event loop priority on few cores; 10 would leave a decoder a tenth of a
busy core."""
QUIET = 1.0
"""Idle seconds before memory is returned to the system; doing so after each picture would cost a
sixth of the CPU."""


def set_up(memory: int) -> None:
    """Limit this process to ``memory`` bytes of address space and one thread.

    All of these settings are global, so they need a separate process.
    """
    # Pebble's own handler is Python code, which can't run while a decoder hangs in C.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.signal(OUT_OF_TIME, signal.SIG_DFL)
    # Crashes are expected here, but must not leave core files with callers' pictures.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allocator.return_blocks()
    signal.signal(signal.SIGALRM, lambda *_: allocator.trim())
    os.nice(NICENESS)
    pyvips.vips_lib.vips_concurrency_set(1)
    pyvips.cache_set_max(0)
    # Blocks loaders that libvips itself calls unsafe for untrusted bytes.
    pyvips.block_untrusted_set(True)
    # ImageLimits already bounds the pixels before any decoder runs.
    Image.MAX_IMAGE_PIXELS = None
    # Its warnings are about damaged pictures, which are reported to the caller instead.
    logging.getLogger("pyvips").addHandler(logging.NullHandler())


def ready(run: Callable[..., object]) -> None:
    """Return once the module of ``run`` is imported, which shows that the worker is ready."""


class Done(NamedTuple, Generic[T]):
    """The result of a piece of work and its CPU seconds."""

    result: T
    cpu: float


def run(seconds: float, function: Callable[..., T], *arguments: object) -> Done[T]:
    """Return the result of ``function``, and return memory to the system if no work follows.

    After ``seconds`` of CPU in all threads the process ends with `OUT_OF_TIME`.
    """
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    before = time.process_time()
    try:
        return Done(function(*arguments), time.process_time() - before)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, QUIET)
