"""GIF: the header read, the frames counted."""

from struct import unpack_from

from app.domain.image import ImageLimits
from app.services.images.formats.layout import ChunkCounter, Layout

EXTENSION, IMAGE = 0x21, 0x2C


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of the picture. Its size is the logical screen's, as browsers show it."""
    width, height, packed = unpack_from("<HHB", data, 6)
    at = 13 + _table(packed)
    # Ten blocks of pixel data for each piece that other formats may have: GIF's hold 255 bytes.
    counter = ChunkCounter(limits, each=10)
    frames = 0
    while at < len(data) and frames <= limits.max_frames:
        if data[at] == EXTENSION:
            at = _skip_blocks(data, at + 2, counter)
        elif data[at] == IMAGE and at + 10 < len(data):
            frames += 1
            at = _skip_blocks(data, at + 11 + _table(data[at + 9]), counter)
        else:
            break
    return Layout(width, height, frames=max(frames, 1))


def _table(packed: int) -> int:
    """Bytes of the colour table that a descriptor's flags announce."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _skip_blocks(data: bytes, at: int, counter: ChunkCounter) -> int:
    while at < len(data) and data[at]:
        counter.step()
        at += 1 + data[at]
    return at + 1
