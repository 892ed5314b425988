"""Let a picture through undecoded where it already fits, its metadata cut out."""

from app.domain.image import ImageLimits, ImageType
from app.services.images.formats import jpeg, png
from app.services.images.header import Inspection


def passable(
    data: bytes, inspection: Inspection, limits: ImageLimits, *, sure: bool = True
) -> bytes | None:
    """The bytes to send on, or None where the picture has to be decoded.

    The same object as ``data`` where not a byte needs to go. Unless it has to be ``sure``, also
    those of a picture whose data may be short of its frame.

    GIF and WebP are never let through although Converse takes them: a guardrail's image filter
    reads PNG and JPEG only, and without checksums or a structure that decoders forgive, no one
    can tell that such a file is whole short of decoding it.
    """
    facts, layout = inspection
    fits = (
        layout.plain
        and facts.orientation == 1
        and max(facts.width, facts.height) <= limits.max_side
    )
    if not fits:
        return None
    result = None
    if facts.media_type is ImageType.JPEG:
        result = jpeg.stripped(data, limits, sure=sure)
    elif facts.media_type is ImageType.PNG and sure:
        result = png.stripped(data, limits)
    return result if result is not None and len(result) <= limits.byte_budget else None
