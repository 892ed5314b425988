"""Reads PNG headers and removes everything that is not the picture."""

import zlib
from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.images.formats import colour, exif, icc
from app.services.images.formats.layout import ChunkCounter, Layout
from app.services.images.formats.png_proof import (
    GREY,
    PALETTE,
    TRUECOLOUR,
    Chunk,
    are_rows_whole,
    header_fault,
    is_palette_allowed,
    is_well_formed,
)

SIGNATURE = 8
PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""Chunks that are needed to draw the picture."""


def chunks(data: bytes, limits: ImageLimits) -> Iterator[Chunk]:
    """Yield the complete chunks up to IEND; a truncated file ends without IEND."""
    counter = ChunkCounter(limits)
    for chunk in _walk(data):
        counter.step()
        yield chunk


def _walk(data: bytes) -> Iterator[Chunk]:
    at = SIGNATURE
    while at + 12 <= len(data):
        size, name = unpack_from(">I4s", data, at)
        end = at + 12 + size
        # Zeros that pad an interrupted download are not a chunk.
        if end > len(data) or not any(name):
            return
        yield Chunk(name, at, end)
        if name == b"IEND":
            return
        at = end


def read(data: bytes, limits: ImageLimits) -> Layout:
    """Return the layout of the picture; an APNG's frames are only counted."""
    if data[12:16] != b"IHDR":
        raise _refused_start(data)
    fault = header_fault(data[16 : 16 + min(unpack_from(">I", data, 8)[0], 14)])
    if fault is not None:
        raise ImageDamagedError(f"The PNG is damaged: {fault}.")
    width, height, depth, colour_type, _, _, interlaced = unpack_from(">IIBBBBB", data, 16)
    first = _by_name(chunks(data, limits))
    colours = _declared_colour(data, first, limits)
    metadata = first[b"eXIf"].body(data) if b"eXIf" in first else b""
    frames = unpack_from(">I", data, first[b"acTL"].start + 8)[0] if b"acTL" in first else 1
    return Layout(
        width=width,
        height=height,
        orientation=exif.orientation(metadata) if metadata else 1,
        frames=frames,
        plain=colour_type in {GREY, TRUECOLOUR, PALETTE}
        and depth <= 8
        and not (interlaced or colours.profile or b"tRNS" in first),
        largest_metadata=max(colours.bytes, len(metadata)),
        hdr=colours.hdr,
    )


def _refused_start(data: bytes) -> ImageDamagedError | UnsupportedImageTypeError:
    if data[12:16] == b"CgBI":
        return UnsupportedImageTypeError(
            "This is a PNG in Apple's own form for programs (CgBI), which is not accepted; "
            "send the original."
        )
    return ImageDamagedError("The PNG is damaged: it does not begin with its header.")


class DeclaredColour(NamedTuple):
    """The colour information of a PNG."""

    profile: bytes | None = None
    """The ICC profile of the colours; None for sRGB."""
    bytes: int = 0
    """Size of the decompressed embedded profile in bytes."""
    hdr: bool = False


def profile(data: bytes, limits: ImageLimits) -> bytes | None:
    """Return the ICC profile of a PNG that passed `read`, or None for sRGB."""
    return _declared_colour(data, _by_name(chunks(data, limits)), limits).profile


def _by_name(every: Iterator[Chunk]) -> dict[bytes, Chunk]:
    """Return the first chunk of each name; colour chunks count only before the pixel data."""
    first: dict[bytes, Chunk] = {}
    for chunk in every:
        if chunk.name not in COLOURS or b"IDAT" not in first:
            first.setdefault(chunk.name, chunk)
    return first


COLOURS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
INTENTS = frozenset({b"\0", b"\1", b"\2", b"\3"})
"""Valid bodies of an sRGB chunk; decoders ignore one with another."""


def _declared_colour(data: bytes, first: dict[bytes, Chunk], limits: ImageLimits) -> DeclaredColour:
    """Return the colours as browsers do, from the first usable one of cICP, iCCP, sRGB and gAMA."""
    numbers = first[b"cICP"].body(data) if b"cICP" in first else b""
    embedded = _unpacked(first[b"iCCP"].body(data), limits) if b"iCCP" in first else b""
    size = len(embedded)
    if len(numbers) == 4:
        primaries, transfer = numbers[0], numbers[1]
        return DeclaredColour(colour.coded(primaries, transfer), size, transfer in colour.HDR)
    if icc.is_for_pictures(embedded):
        return DeclaredColour(None if icc.is_srgb(embedded) else embedded, size)
    if b"sRGB" in first and first[b"sRGB"].body(data) in INTENTS:
        return DeclaredColour(None, size)
    return DeclaredColour(_measured(data, first), size)


def _measured(data: bytes, first: dict[bytes, Chunk]) -> bytes | None:
    # Browsers ignore chromaticities without a gamma.
    if b"gAMA" not in first or len(body := first[b"gAMA"].body(data)) != 4:
        return None
    gamma, gamut = unpack_from(">I", body)[0] / 100_000, None
    if b"cHRM" in first and len(body := first[b"cHRM"].body(data)) == 32:
        parts = [part / 100_000 for part in unpack_from(">8I", body)]
        gamut = colour.Chromaticities(*zip(parts[::2], parts[1::2], strict=True))
    try:
        return colour.measured(gamma or None, gamut)
    except (ValueError, ArithmeticError):
        # Browsers ignore invalid numbers.
        return None


def _unpacked(body: bytes, limits: ImageLimits) -> bytes:
    """Decompress a profile to at most one byte over the limit; empty if it is broken."""
    _, _, packed = body.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], limits.max_metadata_bytes + 1)
    except zlib.error:
        return b""


def stripped(data: bytes, limits: ImageLimits) -> bytes | None:
    """Return ``data`` without metadata, comments, animation and data after the picture.

    The result is the same object if there is nothing to remove, and None if the file can't be
    proven complete: a checksum fails, or the compressed rows are not exactly the announced ones.
    """
    every = list(chunks(data, limits))
    if not is_well_formed(data, every):
        return None
    width, height, depth, colour = unpack_from(">IIBB", data, 16)
    palette = next((chunk.body(data) for chunk in every if chunk.name == b"PLTE"), None)
    packed = b"".join(chunk.body(data) for chunk in every if chunk.name == b"IDAT")
    if not is_palette_allowed(palette, colour, depth):
        return None
    if not are_rows_whole(packed, width, height, depth, colour):
        return None
    result = essential(data)
    return data if len(result) == len(data) else result


def essential(data: bytes) -> bytes:
    """Return the file with only the chunks that draw the picture.

    ``data`` must have passed `read`, so its chunks are within the limits.
    """
    every = list(_walk(data))
    # Unknown critical chunks stay too, since a decoder must refuse them.
    kept = [c for c in every if c.name in PICTURE or c.name[:1].isupper()]
    if len(kept) == len(every) and kept[-1].end == len(data):
        return data
    return b"".join([data[:SIGNATURE], *(data[c.start : c.end] for c in kept)])
