"""Checks whether a JPEG's data covers its whole frame, by means of its decoder.

A JPEG decoder paints rows without data grey and continues, so the model would be shown half a
picture.
"""

import pyvips

from app.services.images.codecs.decode import BOUNDS
from app.services.images.formats import jpeg, padding

LEAST = 0.75
"""Minimum share of its rows that a picture needs, or it is refused."""
GREY = range(118, 139)
"""Sample values of the grey that decoders paint, after colour conversion and resizing."""


def is_whole(data: bytes) -> bool:
    """Return whether a strict decoder reads the picture to its end without a warning."""
    try:
        picture = pyvips.Image.jpegload_buffer(data, access="sequential", fail_on="warning")
        picture.avg()
    except pyvips.Error:
        return False
    return True


def without_padding(data: bytes) -> bytes:
    """Return ``data`` without the bytes that pad an interrupted download, if there are any.

    Decoders would draw them. They are taken for real data if the picture needs exactly as many of
    them, as one with a flat area at its end does.
    """
    end = jpeg.END if data.endswith(jpeg.END) else b""
    last = len(data) - len(end)
    first = padding.start(data, 0, last)
    if first == last:
        return data
    whole, written = data[:last] + jpeg.END, data[:first]
    if is_whole(whole) and not _has_more_than_needed(whole):
        return data
    return data if is_whole(written + jpeg.END) else written + end


def _has_more_than_needed(data: bytes) -> bool:
    """Return whether the data of a picture that is whole would suffice for a larger one."""
    if jpeg.has_several_scans(data, BOUNDS):
        return is_whole(data[: -len(jpeg.END) - padding.LONGEST] + jpeg.END)
    # The decoder does not report that data ends in the last row of blocks. So with fewer bytes a
    # picture with a wide flat area at its end may still seem whole.
    return is_whole(jpeg.with_more_rows(data, BOUNDS))


def may_lack_rows(rendered: pyvips.Image, *, usual_colours: bool) -> bool:
    """Return whether an edge of the picture, which may be rotated, has a single colour.

    Missing rows look like that. In pictures with ``usual_colours`` only grey counts; in others the
    grey may have become any colour.
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
    """Return the share of the picture's rows that have data, 0 to 1."""
    if is_whole(data):
        return 1.0
    # An eighth of the size suffices for counting rows.
    small = pyvips.Image.jpegload_buffer(data, shrink=8, fail_on="none").copy_memory()
    samples, stride = bytes(small.write_to_memory()), small.width * small.bands
    last = samples[-stride:]
    if last != last[: small.bands] * small.width or not set(last) <= set(GREY):
        return 1.0
    missing = 0
    while missing < small.height and samples[-stride * (missing + 1) :][:stride] == last:
        missing += 1
    return 1 - missing / int(small.height)
