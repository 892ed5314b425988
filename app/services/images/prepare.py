"""Prepares one picture for the model in a single process, without I/O."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType

import pyvips

from app.domain.errors import (
    ExtremeAspectRatioError,
    ImageDamagedError,
    ImageDecoderError,
)
from app.domain.image import (
    ImageFacts,
    ImageLimits,
    ImageReport,
    ImageType,
    PreparedImage,
    ReceivedImage,
    Treatment,
)
from app.services.images import canvas, pixel_digest
from app.services.images.codecs import completeness, pixels
from app.services.images.codecs.decode import (
    BOUNDS,
    SHRUNK_WHILE_DECODED,
    damaged,
    decode,
    is_upright,
)
from app.services.images.codecs.encode import encode
from app.services.images.formats import bmp, jpeg, rows, tiff
from app.services.images.formats.rows import Rows
from app.services.images.inspection.header import Inspection, check_pixels, inspect
from app.services.images.inspection.strip import passable
from app.services.images.warnings import UNMENDED, Mending, observe


def prepare(image: ReceivedImage, limits: ImageLimits) -> ImageReport:
    """Return the report with an upright sRGB picture within ``limits``.

    Raises only subclasses of `ImageError`, whatever the bytes are.
    """
    inspection = inspect(image.data, limits)
    report = prepare_undecoded(image, inspection, limits)
    return report or prepare_decoded(image, inspection, limits)


def prepare_undecoded(
    image: ReceivedImage, inspection: Inspection, limits: ImageLimits
) -> ImageReport | None:
    """Return the report of a picture that fits as it is, or None if it must be decoded.

    It is plain Python over bytes, so it is safe in the service's own process.
    """
    _target(inspection.facts, limits)
    data = passable(image.data, inspection, limits)
    return None if data is None else _passed(image, inspection, data, limits)


def inspect_and_prepare(
    image: ReceivedImage, limits: ImageLimits
) -> tuple[Inspection, ImageReport | None]:
    """Inspect a picture, and prepare and hash it if it needs no decoder."""
    inspection = inspect(image.data, limits)
    report = prepare_undecoded(image, inspection, limits)
    if report is not None:
        report.prepared.sha256  # noqa: B018 - hashed here rather than on the event loop
    return inspection, report


def prepare_decoded(
    image: ReceivedImage, inspection: Inspection, limits: ImageLimits
) -> ImageReport:
    """Return the report of a picture that was decoded, resized and encoded again.

    A picture that fits keeps its coded data if the decoder resolves the doubts about it. This calls
    C decoders, so untrusted bytes need a process that may crash.
    """
    facts = inspection.facts
    try:
        source = _without_padding(image.data, facts)
        doubtful = passable(source, inspection, limits, sure=False)
        if source is image.data and doubtful is not None and _is_whole(doubtful):
            return _passed(image, inspection, doubtful, limits)
        picture = _render(source, facts, limits)
        mended = _mended(source, inspection, picture)
        data, media_type, rendered = encode(picture, limits.byte_budget)
    except pyvips.Error as error:
        # Most loaders read a picture's rows lazily.
        raise damaged(facts) from error
    except MemoryError as error:
        raise ImageDecoderError("Decoding the picture takes more memory than it may.") from error
    # Hashed here, in the worker, rather than on the event loop.
    digest = sha256(data).hexdigest()
    prepared = PreparedImage(
        data,
        media_type,
        rendered.width,
        rendered.height,
        digest,
        pixels=pixel_digest.digest(rendered) if limits.pixel_digests else "",
    )
    return _report(image, inspection, prepared, Treatment.ENCODED, limits, mended)


def _passed(
    image: ReceivedImage, inspection: Inspection, data: bytes, limits: ImageLimits
) -> ImageReport:
    facts = inspection.facts
    treatment = Treatment.UNCHANGED if data is image.data else Treatment.STRIPPED
    prepared = PreparedImage(data, facts.media_type, facts.width, facts.height)
    return _report(image, inspection, prepared, treatment, limits)


def _is_whole(data: bytes) -> bool:
    shares = jpeg.detail(data, BOUNDS), jpeg.share_written(data, BOUNDS)
    return shares == (1, 1) and completeness.is_whole(data)


def _without_padding(data: bytes, facts: ImageFacts) -> bytes:
    return completeness.without_padding(data) if facts.media_type is ImageType.JPEG else data


def _mended(data: bytes, inspection: Inspection, picture: pyvips.Image) -> Mending:
    """Return the faults of a decoded picture, or raise ImageDamagedError if too much is missing."""
    facts, layout = inspection
    if facts.media_type in UNPACKED:
        unpacked = UNPACKED[facts.media_type](data, inspection)
        return Mending(share_of_rows=rows.share_written(data, unpacked) if unpacked else 1.0)
    if facts.media_type is not ImageType.JPEG:
        return UNMENDED
    share = 1.0
    if completeness.may_lack_rows(picture, usual_colours=layout.plain or layout.stray):
        share = completeness.share_of_rows(jpeg.closed(data, BOUNDS))
    written = jpeg.share_written(data, BOUNDS)
    if written < completeness.LEAST:
        raise ImageDamagedError(
            f"The JPEG has data for only {written:.0%} of its picture; zeros lie amid it, as of a "
            "broken transfer."
        )
    if share < completeness.LEAST:
        raise ImageDamagedError(
            f"The JPEG is cut off: it has data for only {share:.0%} of its rows."
        )
    return Mending(
        stray_bytes=layout.stray,
        no_end=not jpeg.is_closed(data, BOUNDS),
        share_of_rows=share,
        share_of_detail=jpeg.detail(data, BOUNDS),
        share_of_data=written,
    )


UNPACKED: Mapping[ImageType, Callable[[bytes, Inspection], Rows | None]] = MappingProxyType(
    {
        ImageType.BMP: lambda data, inspection: bmp.rows(data, inspection.layout),
        ImageType.TIFF: lambda data, _: tiff.rows(data, BOUNDS),
    }
)
"""Functions that return the rows of uncompressed pictures, by type."""


def _render(data: bytes, facts: ImageFacts, limits: ImageLimits) -> pyvips.Image:
    stored = _target(facts, limits)
    image = decode(data, facts, stored)
    orientation = 1 if is_upright(facts.media_type) else facts.orientation
    if facts.media_type not in SHRUNK_WHILE_DECODED:
        # If the decoder's size differs from the header reader's, the decoder's counts.
        check_pixels(image.width, image.height, limits)
        stored = canvas.target(image.width, image.height, limits.max_side)
    if min(stored) < 1:
        raise _too_narrow(facts)
    return pixels.render(image, stored, orientation)


def _target(facts: ImageFacts, limits: ImageLimits) -> tuple[int, int]:
    size = canvas.target(facts.width, facts.height, limits.max_side)
    if min(size) < 1:
        raise _too_narrow(facts)
    return size


def _too_narrow(facts: ImageFacts) -> ExtremeAspectRatioError:
    return ExtremeAspectRatioError(
        f"The picture has {facts.width} x {facts.height} pixels; scaled down for the model its "
        "shorter side would vanish. Cut it into pieces."
    )


def _report(
    image: ReceivedImage,
    inspection: Inspection,
    prepared: PreparedImage,
    treatment: Treatment,
    limits: ImageLimits,
    mended: Mending = UNMENDED,
) -> ImageReport:
    facts = inspection.facts
    scale = min(1.0, max(prepared.width, prepared.height) / max(facts.width, facts.height))
    return ImageReport(
        received=facts,
        declared_type=image.declared_type,
        prepared=prepared,
        canvas=canvas.choose(prepared.width, prepared.height),
        scale=scale,
        treatment=treatment,
        warnings=observe(image, inspection, scale, limits, mended),
    )
