"""Reads TIFF headers, counts pages and extracts one page for the decoder."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.images.formats import exif, tiff_pieces
from app.services.images.formats import tiff_tags as tags
from app.services.images.formats.layout import Layout
from app.services.images.formats.rows import Rows

TAKEN = "only unsigned ones of up to 8 bits, or of 16, are accepted"
_DEPTHS = frozenset({1, 2, 4, 8, 16})
_UNSIGNED = frozenset({1, 4})
"""Sample formats that mean unsigned integers or are undefined."""
_KINDS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}
MOST_LOOKED_AT = 16
"""Maximum directories that are searched for a camera's raw picture."""
_BROKEN = (struct.error, IndexError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: a page, a thumbnail or a picture hidden from old readers."""

    at: int
    reduced: bool
    """Whether it is a reduced copy of another picture or a mask, rather than a page."""


class Page(NamedTuple):
    """The storage of a page."""

    width: int
    height: int
    orientation: int
    colours: int
    compression: int
    extras: tuple[int, ...]
    """The meaning of each extra sample, 0 for unknown."""
    tiled_planes: bool
    profile_bytes: int

    @property
    def needs_pillow(self) -> bool:
        """Return whether Pillow's libtiff can read the page but libvips can't."""
        mixed = self.colours == tags.YCBCR and self.compression != tags.JPEG
        return mixed or self.tiled_planes or self.compression in tags.BY_PILLOW


def read(data: bytes, limits: ImageLimits) -> Layout:
    """Return the layout of the first page."""
    form = exif.dialect(data)
    every = list(directories(data, form, limits))
    _refuse_raw(data, form, every)
    place, pages = _choice(data, form, every)
    page = described(data, form, place)
    return Layout(
        page.width,
        page.height,
        orientation=page.orientation,
        frames=pages,
        largest_metadata=page.profile_bytes,
    )


def directories(data: bytes, form: exif.Dialect, limits: ImageLimits) -> Iterator[Directory]:
    """Yield the directories of the file's chain, at most one over the limit and each once.

    A damaged directory after the first ends the chain.
    """
    seen: set[int] = set()
    at = form.first
    while at and at not in seen and len(seen) <= limits.max_frames:
        seen.add(at)
        try:
            reduced, following = _is_reduced(data, form, at), exif.following(data, form, at)
        except _BROKEN:
            if len(seen) == 1:
                raise
            return
        yield Directory(at, reduced)
        at = following


def pages(data: bytes, limits: ImageLimits) -> list[int]:
    """Return the offset of each page's directory, in order, without thumbnails and masks."""
    form = exif.dialect(data)
    every = list(directories(data, form, limits))
    full = [each.at for each in every if not each.reduced]
    return full or [_choice(data, form, every)[0]]


def _choice(data: bytes, form: exif.Dialect, every: list[Directory]) -> tuple[int, int]:
    """Return the offset of the picture's directory and the number of pages."""
    full = [each.at for each in every if not each.reduced]
    if full:
        return full[0], len(full)
    # If the chain has only reduced copies, the picture may be below one, else the largest is used.
    below = [at for at in _below(data, form, every) if not _is_reduced(data, form, at)]
    places = below or [each.at for each in every]
    if not places:
        raise ImageDamagedError("The TIFF has no page.")
    return max(places[:MOST_LOOKED_AT], key=lambda at: _area(data, form, at)), 1


def _area(data: bytes, form: exif.Dialect, at: int) -> int:
    page = exif.directory(data, form, at)
    return page.get(tags.WIDTH, 0) * page.get(tags.HEIGHT, 0)


def _is_reduced(data: bytes, form: exif.Dialect, at: int) -> bool:
    # Directories are sorted by tag, so these two come first.
    for entry in exif.entries(data, form, at, most=4):
        if entry.tag == tags.SUBFILE:
            return bool(entry.first(data, form) & 0b101)
        if entry.tag == tags.OLD_SUBFILE:
            return entry.first(data, form) == 2
    return False


def _below(data: bytes, form: exif.Dialect, every: list[Directory]) -> Iterator[int]:
    """Yield the offsets of the directories that the first ones refer to."""
    for each in every[:MOST_LOOKED_AT]:
        for entry in exif.entries(data, form, each.at):
            if entry.tag == tags.SUB_DIRECTORIES:
                for place in entry.values(data, form, MOST_LOOKED_AT):
                    try:
                        exif.directory(data, form, place)
                    except _BROKEN:
                        continue
                    yield place


def _refuse_raw(data: bytes, form: exif.Dialect, every: list[Directory]) -> None:
    """Raise UnsupportedImageTypeError for a camera's raw picture, whose pages are previews."""
    looked_at = [each.at for each in every[:MOST_LOOKED_AT]]
    looked_at += list(_below(data, form, every))[:MOST_LOOKED_AT]
    full_size = False
    for at in looked_at:
        page = exif.directory(data, form, at)
        if tags.DNG_VERSION in page:
            raise _raw("DNG")
        if (
            page.get(tags.COLOURS) in tags.RAW_COLOURS
            or page.get(tags.COMPRESSION) in tags.RAW_COMPRESSIONS
            or tags.LEAF_DATA in page
            or tags.KODAK_DATA in page
        ):
            raise _raw(_raw_name(data, form, looked_at[0]))
        full_size = full_size or not _is_reduced(data, form, at)
    if looked_at and not full_size and (name := _raw_name(data, form, looked_at[0])):
        # A camera's file with only previews stores its picture in a private place.
        raise _raw(name)


def _raw(name: str) -> UnsupportedImageTypeError:
    kind = f", {name}" if name else ""
    return UnsupportedImageTypeError(
        f"This is a camera's raw picture{kind}, which is not accepted; "
        "develop it first and send a JPEG, PNG or TIFF."
    )


def _raw_name(data: bytes, form: exif.Dialect, at: int) -> str:
    for entry in exif.entries(data, form, at):
        if entry.tag == tags.MAKE:
            make = entry.raw(data, form, 32).decode("latin-1").strip().lower()
            return next((name for start, name in tags.RAW_NAMES if make.startswith(start)), "")
    return ""


def described(data: bytes, form: exif.Dialect, at: int) -> Page:
    """Return the page whose directory is at offset ``at``.

    Raises UnsupportedImageTypeError if no decoder here can read it, or if its samples have no
    definite range from black to white.
    """
    page = exif.directory(data, form, at)
    if tags.WIDTH not in page or tags.HEIGHT not in page:
        raise ImageDamagedError("The TIFF's first page has no size.")
    lists = {
        entry.tag: entry.values(data, form, 8)
        for entry in exif.entries(data, form, at)
        if entry.tag in {tags.BITS, tags.EXTRAS, tags.FORMAT, tags.SUBSAMPLING}
    }
    _check(page, lists)
    if page.get(tags.COLOURS) == tags.INDEXED and not _colour_map(data, form, at):
        raise ImageDamagedError("The TIFF's palette is missing.")
    tiff_pieces.check(data, form, at)
    orientation = page.get(tags.ORIENTATION, 1)
    colours = page.get(tags.COLOURS, tags.BLACK_IS_ZERO)
    beside = max(0, min(page.get(tags.SAMPLES, 1), 64) - tags.CHANNELS[colours])
    extras = lists.get(tags.EXTRAS, ())[:beside]
    planes = page.get(tags.PLANES, 1) == 2 and page.get(tags.SAMPLES, 1) > 1
    found = Page(
        page[tags.WIDTH],
        page[tags.HEIGHT],
        orientation=orientation if 1 <= orientation <= 8 else 1,
        colours=colours,
        compression=page.get(tags.COMPRESSION, 1),
        extras=(*extras, *[0] * (beside - len(extras))),
        tiled_planes=planes and tags.TILE_OFFSETS in page,
        profile_bytes=next(
            (e.length for e in exif.entries(data, form, at) if e.tag == tags.PROFILE), 0
        ),
    )
    inverted = colours == tags.WHITE_IS_ZERO and page.get(tags.BITS) == 16
    if found.needs_pillow and form.order == ">" and (form.big or inverted):
        raise _unsupported("of a rare big-endian kind", "send it in little-endian order")
    return found


def _colour_map(data: bytes, form: exif.Dialect, at: int) -> bytes:
    """Return the palette of a page, filled up with black; empty if it is missing."""
    for entry in exif.entries(data, form, at):
        if entry.tag == tags.COLOUR_MAP:
            room = 1 << min(exif.directory(data, form, at).get(tags.BITS, 1), 8)
            values = entry.values(data, form, 3 << 8)
            size = len(values) // 3
            # All reds are followed by all greens and all blues.
            rows = [values[n * size : (n + 1) * size][:room] for n in range(3)] if size else []
            filled = [value for row in rows for value in (*row, *[0] * (room - len(row)))]
            return struct.pack(f"{form.order}{len(filled)}H", *filled)
    return b""


def _check(page: dict[int, int], lists: dict[int, tuple[int, ...]]) -> None:
    colours = page.get(tags.COLOURS, tags.BLACK_IS_ZERO)
    if colours not in tags.CHANNELS:
        name = tags.COLOUR_NAMES.get(colours, f"colours of the kind {colours}")
        raise _unsupported(f"in {name}", "only grey, palettes, RGB, YCbCr and CMYK are accepted")
    compression = page.get(tags.COMPRESSION, 1)
    if compression not in tags.BY_LIBVIPS | tags.BY_PILLOW:
        name = tags.COMPRESSION_NAMES.get(compression, f"number {compression}")
        raise _unsupported(
            f"with the compression {name}",
            "send it uncompressed or with LZW, Deflate, JPEG, PackBits, CCITT, LZMA, WebP or Zstd",
        )
    depths, kinds = lists.get(tags.BITS, (1,)), lists.get(tags.FORMAT, (1,))
    samples = page.get(tags.SAMPLES, 1)
    bits, kind = depths[0] if depths else 1, next((k for k in kinds if k not in _UNSIGNED), 1)
    if bits not in _DEPTHS or kind not in _UNSIGNED:
        raise _unsupported(f"with {_KINDS.get(kind, '')}samples of {bits} bits", TAKEN)
    few = bits < 8 and samples > 1 and lists.get(tags.BITS)
    if few or (bits > 8 and colours == tags.INDEXED):
        many = "a palette" if colours == tags.INDEXED else f"{samples} samples a pixel"
        raise _unsupported(f"with {many} of {bits} bits", "send it with 8 bits a sample")
    if len(set(depths[:samples])) > 1:
        raise _unsupported("with samples of different depths", "send all with the same bits")
    planes = page.get(tags.PLANES, 1) == 2 and tags.TILE_OFFSETS in page and samples > 1
    if planes and (colours, samples, bits) != (tags.RGB, 3, 8):
        raise _unsupported("with tiles of separate planes", "send it with its samples together")
    if colours == tags.YCBCR and compression != tags.JPEG:
        _check_ycbcr(page, bits, max(lists.get(tags.SUBSAMPLING, (1,))))
    if colours == tags.SEPARATED and (page.get(tags.INKS, 1) != 1 or samples < 4):
        raise _unsupported("in inks other than those of CMYK", "send it in CMYK or RGB")


def _check_ycbcr(page: dict[int, int], bits: int, subsampling: int) -> None:
    """Raise UnsupportedImageTypeError for YCbCr that no decoder here can convert to RGB."""
    faults = {
        f"of {bits} bits a sample": bits != 8,
        "in separate planes": page.get(tags.PLANES, 1) == 2,
        "subsampled and uncompressed": (
            subsampling > 1 and page.get(tags.COMPRESSION, tags.UNPACKED) == tags.UNPACKED
        ),
    }
    for fault, is_so in faults.items():
        if is_so:
            raise _unsupported(f"in YCbCr {fault}", "send it in RGB, or packed with JPEG")


def _unsupported(what: str, instead: str) -> UnsupportedImageTypeError:
    return UnsupportedImageTypeError(f"This is a TIFF {what}, which is not accepted; {instead}.")


def essential(data: bytes, at: int) -> bytes:
    """Return the file with only the page at ``at`` and the tags that draw it.

    Decoders may fail on private, unknown or malformed tags although the picture is good, and ignore
    a palette with too few colours.
    """
    form = exif.dialect(data)
    kept: dict[int, bytes] = {}
    for entry in exif.entries(data, form, at):
        if entry.tag == tags.EXTRAS and max(entry.values(data, form, 8), default=0) > 2:
            continue  # decoders refuse unknown extra samples, which draw nothing
        if entry.tag in tags.DRAWN:
            kept.setdefault(entry.tag, data[entry.at : entry.at + form.entry])
    place = len(data) + (len(data) & 1)
    count, word = ("Q", "Q") if form.big else ("H", "I")
    palette = _colour_map(data, form, at)
    if palette:
        kept[tags.COLOUR_MAP] = struct.pack(
            f"{form.order}HH{word}{word}", tags.COLOUR_MAP, 3, len(palette) // 2, place
        )
        place += len(palette)
    table = b"".join(
        [
            struct.pack(form.order + count, len(kept)),
            *(kept[tag] for tag in sorted(kept)),
            struct.pack(form.order + word, 0),
        ]
    )
    first = 8 if form.big else 4
    head = data[:first] + struct.pack(form.order + word, place)
    return b"".join([head, data[len(head) :], bytes(len(data) & 1), palette, table])


def picture(data: bytes, limits: ImageLimits) -> tuple[bytes, Page]:
    """Return the file with only the page that `read` chose, and the page's description."""
    form = exif.dialect(data)
    place, _ = _choice(data, form, list(directories(data, form, limits)))
    return essential(data, place), described(data, form, place)


def rows(data: bytes, limits: ImageLimits) -> Rows | None:
    """Return the rows of the page that `read` chose, or None if they are compressed or tiled."""
    form = exif.dialect(data)
    place, _ = _choice(data, form, list(directories(data, form, limits)))
    return tiff_pieces.rows(data, form, place)
