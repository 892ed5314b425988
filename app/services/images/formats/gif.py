"""Reads GIF headers, counts frames and extracts the first frame."""

import struct
from struct import unpack_from
from typing import NamedTuple

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits
from app.services.images.formats.layout import ChunkCounter, Layout

EXTENSION, IMAGE, END = 0x21, 0x2C, b";"
GRAPHIC_CONTROL = 0xF9


class Frame(NamedTuple):
    """The position of the first frame on the screen and in the file."""

    left: int
    top: int
    width: int
    height: int
    control: tuple[int, int]
    """Start and end of the extension with the transparency; equal if there is none."""
    start: int
    """Offset of the frame's descriptor."""
    end: int
    """Offset of the end of its pixel data."""


class Screen(NamedTuple):
    """The structure of a GIF."""

    width: int
    """Width of the logical screen in pixels, or more if the first frame needs more."""
    height: int
    frames: int
    first: Frame | None


def read(data: bytes, limits: ImageLimits) -> Layout:
    """Return the layout of the picture, whose size is the logical screen's, as in browsers."""
    screen = structure(data, limits)
    return Layout(screen.width, screen.height, frames=max(screen.frames, 1))


def structure(data: bytes, limits: ImageLimits) -> Screen:
    """Walk the file's blocks and find its first frame."""
    width, height, packed = unpack_from("<HHB", data, 6)
    at = 13 + _table(packed)
    # Allows ten times as many pieces as other formats, since GIF blocks hold only 255 bytes.
    counter = ChunkCounter(limits, each=10)
    frames, control, first = 0, (0, 0), None
    while at < len(data) and frames <= limits.max_frames:
        start = at
        if data[at] == EXTENSION:
            at = _skip_blocks(data, at + 2, counter)
            if data[start + 1 : start + 2] == bytes([GRAPHIC_CONTROL]):
                control = (start, at)
        elif data[at] == IMAGE and at + 10 < len(data):
            frames += 1
            at = _skip_blocks(data, at + 11 + _table(data[at + 9]), counter)
            if first is None:
                left, top, across, down = unpack_from("<HHHH", data, start + 1)
                first = Frame(left, top, across, down, control, start, at)
        else:
            break
    if first is not None:
        # Browsers enlarge a screen that is too small for the frame.
        width = max(width, first.left + first.width)
        height = max(height, first.top + first.height)
    return Screen(width, height, frames, first)


def first_frame(data: bytes, screen: Screen) -> bytes:
    """Return a GIF with only the first frame on a screen of its size."""
    frame = screen.first
    if frame is None:
        raise ImageDamagedError("The GIF is damaged or cut off before its picture begins.")
    return b"".join(
        [
            data[:6],
            struct.pack("<HH", frame.width, frame.height),
            data[10 : 13 + _table(data[10])],
            data[slice(*frame.control)],
            data[frame.start : frame.start + 1],
            struct.pack("<HHHH", 0, 0, frame.width, frame.height),
            data[frame.start + 9 : frame.end],
            END,
        ]
    )


def _table(packed: int) -> int:
    """Return the size in bytes of the colour table that a descriptor's flags announce."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _skip_blocks(data: bytes, at: int, counter: ChunkCounter) -> int:
    while at < len(data) and data[at]:
        counter.step()
        at += 1 + data[at]
    return at + 1
