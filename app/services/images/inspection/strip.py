"""Passes a picture that already fits without decoding it, but with its metadata removed."""

from app.domain.image import ImageLimits, ImageType
from app.services.images.formats import jpeg, png
from app.services.images.inspection.header import Inspection


def passable(
    data: bytes, inspection: Inspection, limits: ImageLimits, *, sure: bool = True
) -> bytes | None:
    """Return the bytes to send, or None if the picture must be decoded.

    The result is ``data`` itself if nothing has to be removed. Without ``sure``, a picture whose
    data may not fill its frame is returned as well.

    GIF and WebP never pass, although Converse accepts them, because a guardrail's image filter
    reads only PNG and JPEG, and because only a decoder can prove that such a file is complete.
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
