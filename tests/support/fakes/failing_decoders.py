"""Decoders that fail as real ones do; they run in a worker in place of the real one."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import pyvips

from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.services.images.inspection.header import Inspection
from app.services.images.prepare import prepare_decoded

HANG, CRASH, KILL, DEVOUR, BURN = b"hang", b"crash", b"kill", b"devour", b"burn"


def moody(image: ReceivedImage, inspection: Inspection, limits: ImageLimits) -> ImageReport:
    """Fail in the way that the picture's last bytes name; otherwise prepare the picture."""
    if image.data.endswith(HANG):
        # In C, where no signal handler written in Python ever runs.
        if image.data.endswith(b"deaf" + HANG):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.CDLL(None).pause()
    if image.data.endswith(BURN):
        while True:
            pass
    if image.data.endswith(CRASH):
        ctypes.string_at(0)
    if image.data.endswith(KILL):
        os.kill(os.getpid(), signal.SIGKILL)
    if image.data.endswith(DEVOUR):
        assert bytearray(4 << 30)
    return prepare_decoded(image, inspection, limits)


def draw(image: ReceivedImage, inspection: Inspection, limits: ImageLimits) -> ImageReport:
    """Call a loader that libvips itself does not trust."""
    pyvips.Image.svgload_buffer(b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")
    return prepare_decoded(image, inspection, limits)


def scatter() -> int:
    """Allocate 40 MiB, free all but the last block, which pins the heap, and return the pid."""
    *_, last = [bytearray(64 * 1024) for _ in range(640)]
    _kept.append(last)
    return os.getpid()


_kept: list[bytearray] = []


def variables() -> list[str]:
    """Return the names of the worker's environment variables, as the system reports them."""
    text = Path("/proc/self/environ").read_bytes()
    return [line.partition(b"=")[0].decode() for line in text.split(b"\0") if line]


def packages() -> set[str]:
    """Return the outermost packages that the worker has imported."""
    return {name.partition(".")[0] for name in sys.modules}


def burn(seconds: float) -> float:
    """Use up ``seconds`` of CPU."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def wait() -> None:
    """Never end."""
    ctypes.CDLL(None).pause()
