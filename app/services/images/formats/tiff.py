"""TIFF: the header read, the pages counted."""

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits
from app.services.images.formats import exif
from app.services.images.formats.layout import Layout

WIDTH, HEIGHT = 256, 257


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of the first page."""
    form = exif.dialect(data)
    page = exif.directory(data, form, form.first)
    if WIDTH not in page or HEIGHT not in page:
        raise ImageDamagedError("The TIFF's first page has no size.")
    orientation = page.get(exif.ORIENTATION, 1)
    return Layout(
        page[WIDTH],
        page[HEIGHT],
        orientation=orientation if 1 <= orientation <= 8 else 1,
        frames=_pages(data, form, limits),
    )


def _pages(data: bytes, form: exif.Dialect, limits: ImageLimits) -> int:
    """How many pages there are, one over the limit at most; a circle counts once."""
    seen: set[int] = set()
    at = form.first
    while at and at not in seen and len(seen) <= limits.max_frames:
        seen.add(at)
        at = exif.following(data, form, at)
    return len(seen)
