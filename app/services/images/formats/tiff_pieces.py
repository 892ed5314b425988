"""Checks that the strips or tiles of a TIFF page have data."""

from app.domain.errors import ImageDamagedError
from app.services.images.formats import exif
from app.services.images.formats import tiff_tags as tags
from app.services.images.formats.rows import Rows

MOST = 1 << 17
"""Maximum strips or tiles that are checked; a picture of 100 megapixels has 1,600 tiles."""
LEAST = 16
"""Minimum bytes of a compressed piece whose zeros are significant."""
MAY_END_IN_ZEROS = frozenset({tags.UNPACKED, tags.WEBP})
"""Compressions whose pieces may consist mostly of zeros."""


def check(data: bytes, form: exif.Dialect, at: int) -> None:
    """Raise ImageDamagedError if strips or tiles have no data, which decoders show as black."""
    page = exif.directory(data, form, at)
    packed = page.get(tags.COMPRESSION, tags.UNPACKED) not in MAY_END_IN_ZEROS
    for offsets, sizes in ((tags.OFFSETS, tags.STRIP_BYTES), (tags.TILE_OFFSETS, tags.TILE_BYTES)):
        lists = _lists(data, form, at, offsets, sizes)
        pieces = list(zip(*lists, strict=False))
        if len(pieces) == 1 and not pieces[0][1]:
            continue  # decoders compute the size of a single strip
        there = sum(_written(data, *piece, packed=packed) for piece in pieces)
        if there < len(pieces):
            raise ImageDamagedError(
                f"The TIFF is cut off: it has data for only {there / len(pieces):.0%} of it."
            )


def _written(data: bytes, place: int, size: int, *, packed: bool) -> float:
    """Return the share of a piece that has data, 0 to 1.

    In a compressed piece, a second half of zeros is the padding of an interrupted download.
    """
    if not (place and size) or place >= len(data):
        return 0.0
    half, end = place + size // 2, min(place + size, len(data))
    if packed and size >= LEAST and data.count(0, half, end) == end - half:
        return len(data[place:half].rstrip(b"\0")) / size
    return 1.0


def rows(data: bytes, form: exif.Dialect, at: int) -> Rows | None:
    """Return the rows of a page with consecutive uncompressed strips, else None."""
    page = exif.directory(data, form, at)
    places, sizes = _lists(data, form, at, tags.OFFSETS, tags.STRIP_BYTES)
    if page.get(tags.COMPRESSION, tags.UNPACKED) != tags.UNPACKED or not places or not sizes:
        return None
    start, end = places[0], places[-1] + sizes[-1]
    samples = 1 if page.get(tags.PLANES, 1) == 2 else page.get(tags.SAMPLES, 1)
    stride = (page[tags.WIDTH] * samples * page.get(tags.BITS, 1) + 7) // 8
    return Rows(start, end, stride, stride) if sum(sizes) == end - start else None


def _lists(data: bytes, form: exif.Dialect, at: int, *wanted: int) -> tuple[tuple[int, ...], ...]:
    """Return the integers of each of the ``wanted`` tags of a directory."""
    lists = {
        entry.tag: entry.values(data, form, MOST)
        for entry in exif.entries(data, form, at)
        if entry.tag in wanted
    }
    return tuple(lists.get(tag, ()) for tag in wanted)
