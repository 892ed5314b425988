"""TIFF: the header read, the pages counted."""

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.images.formats import exif
from app.services.images.formats.layout import Layout

WIDTH, HEIGHT, BITS, COLOURS, SAMPLES = 256, 257, 258, 262, 339
TAKEN = "only unsigned ones of up to 8 bits, or of 16, are accepted"
_DEPTHS = frozenset({1, 2, 4, 8, 16})
_UNSIGNED = frozenset({1, 4})
"""Named so, or without a name."""
_KINDS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}
_LAB = frozenset({8, 9, 10})
"""CIELAB, and as ICC and ITU write it."""


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of the first page."""
    form = exif.dialect(data)
    page = exif.directory(data, form, form.first)
    if WIDTH not in page or HEIGHT not in page:
        raise ImageDamagedError("The TIFF's first page has no size.")
    _check(page)
    orientation = page.get(exif.ORIENTATION, 1)
    return Layout(
        page[WIDTH],
        page[HEIGHT],
        orientation=orientation if 1 <= orientation <= 8 else 1,
        frames=_pages(data, form, limits),
    )


def _check(page: dict[int, int]) -> None:
    """Raise UnsupportedImageTypeError for what has no one range of black to white."""
    if page.get(COLOURS) in _LAB:
        raise UnsupportedImageTypeError(
            "This is a TIFF in CIELAB; only grey, palettes, RGB, YCbCr and CMYK are accepted."
        )
    bits, kind = page.get(BITS, 1), page.get(SAMPLES, 1)
    if bits not in _DEPTHS or kind not in _UNSIGNED:
        raise UnsupportedImageTypeError(
            f"This is a TIFF with {_KINDS.get(kind, '')}samples of {bits} bits; {TAKEN}."
        )


def _pages(data: bytes, form: exif.Dialect, limits: ImageLimits) -> int:
    """How many pages there are, one over the limit at most; a circle counts once."""
    seen: set[int] = set()
    at = form.first
    while at and at not in seen and len(seen) <= limits.max_frames:
        seen.add(at)
        at = exif.following(data, form, at)
    return len(seen)
