"""Whether a JPEG's data reaches to the end of its frame. Calls its decoder.

A JPEG decoder paints the rows that it has no data for in grey and reads on; the model would
be shown half a picture.
"""

import pyvips

from app.services.images.formats import jpeg
from app.services.images.formats.jpeg_proof import ZEROS

LEAST = 0.75
"""Share of its rows that a picture needs to be of use; with less it is refused."""
GREY = range(118, 139)
"""Samples of the grey that decoders paint, after colour conversion and resizing."""


def is_whole(data: bytes) -> bool:
    """Whether a strict decoder reads the picture to its end without a warning."""
    try:
        picture = pyvips.Image.jpegload_buffer(data, access="sequential", fail_on="warning")
        picture.avg()
    except pyvips.Error:
        return False
    return True


def without_fill(data: bytes) -> bytes:
    """``data`` without the zeros that an interrupted download was filled up with, if it was.

    Decoders draw something of them. Those of a flat picture are all needed; of those that stand
    for other data some are left over, or they are too few.
    """
    end = jpeg.END if data.endswith(jpeg.END) else b""
    last = len(data) - len(end)
    if not data.endswith(ZEROS, 0, last):
        return data
    written = data[:last].rstrip(b"\0")
    fewer = data[: last - len(ZEROS)]
    flat = is_whole(data[:last] + jpeg.END) and not is_whole(fewer + jpeg.END)
    return data if flat or is_whole(written + jpeg.END) else written + end


def may_lack_rows(rendered: pyvips.Image, *, usual_colours: bool) -> bool:
    """Whether an edge of the picture, which may be turned, is of one colour, as missing rows are.

    Only grey counts in pictures of ``usual_colours``; in others it may have become any colour.
    """
    width, height = rendered.width, rendered.height
    edges = (
        (0, 0, width, 1),
        (0, height - 1, width, 1),
        (0, 0, 1, height),
        (width - 1, 0, 1, height),
    )
    for edge in edges:
        samples = bytes(rendered.crop(*edge).write_to_memory())
        first = samples[: rendered.bands]
        even = samples == first * (len(samples) // len(first))
        if even and (not usual_colours or all(sample in GREY for sample in first)):
            return True
    return False


def share_of_rows(data: bytes) -> float:
    """The share of the picture's rows, 0 to 1, that there is data for."""
    if is_whole(data):
        return 1.0
    # An eighth of the size is enough to count rows.
    small = pyvips.Image.jpegload_buffer(data, shrink=8, fail_on="none").copy_memory()
    samples, stride = bytes(small.write_to_memory()), small.width * small.bands
    last = samples[-stride:]
    if last != last[: small.bands] * small.width or not set(last) <= set(GREY):
        return 1.0
    missing = 0
    while missing < small.height and samples[-stride * (missing + 1) :][:stride] == last:
        missing += 1
    return 1 - missing / int(small.height)
