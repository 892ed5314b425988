"""Let a picture through undecoded where it already fits, its metadata cut out."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.domain.image import ImageFacts, ImageLimits, ImageType
from app.services.images.formats import jpeg, png
from app.services.images.formats.layout import Layout

STRIPPERS: Mapping[ImageType, Callable[[bytes, ImageLimits], bytes | None]] = MappingProxyType(
    {ImageType.JPEG: jpeg.stripped, ImageType.PNG: png.stripped}
)
"""The types that may pass. GIF and WebP are never let through although Converse takes them:
a guardrail's image filter reads PNG and JPEG only, and without checksums or a structure that
decoders forgive, no one can tell that such a file is whole short of decoding it."""


def passable(data: bytes, facts: ImageFacts, layout: Layout, limits: ImageLimits) -> bytes | None:
    """The bytes to send on, or None where the picture has to be decoded.

    The same object as ``data`` where not a byte needs to go.
    """
    stripper = STRIPPERS.get(facts.media_type)
    fits = (
        layout.plain
        and facts.orientation == 1
        and max(facts.width, facts.height) <= limits.max_side
    )
    if stripper is None or not fits:
        return None
    result = stripper(data, limits)
    return result if result is not None and len(result) <= limits.byte_budget else None
