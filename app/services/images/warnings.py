"""The report's warnings about changes to a picture."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from app.domain.image import (
    AnswerWarning,
    ImageFacts,
    ImageLimits,
    ImageReport,
    ImageType,
    ReceivedImage,
)
from app.services.images import canvas
from app.services.images.codecs import pixels
from app.services.images.inspection.header import Inspection

DECLARED_TYPE_CORRECTED = "declared_type_corrected"
FIRST_FRAME_ONLY = "first_frame_only"
FIRST_PAGE_ONLY = "first_page_only"
SMALL_TEXT_ILLEGIBLE = "small_text_illegible"
EXTREME_ASPECT_RATIO = "extreme_aspect_ratio"
IMAGE_REPAIRED = "image_repaired"
IMAGE_INCOMPLETE = "image_incomplete"
HDR_TONE_MAPPED = "hdr_tone_mapped"
CODES = (
    DECLARED_TYPE_CORRECTED,
    FIRST_FRAME_ONLY,
    FIRST_PAGE_ONLY,
    SMALL_TEXT_ILLEGIBLE,
    EXTREME_ASPECT_RATIO,
    IMAGE_REPAIRED,
    IMAGE_INCOMPLETE,
    HDR_TONE_MAPPED,
)

LEGIBLE_HEIGHT = 10
"""Minimum height in pixels of a capital letter in the prepared picture for reliable reading."""
STRIP_LOSS = 1.25
"""Ratio of a strip's possible length to its shown length above which a warning is given."""
LEGIBLE_SCALE = 0.75
"""Scale below which a warning is given, as usual text survives milder shrinking."""
ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/heif": "image/heic",
    "image/x-ms-bmp": "image/bmp",
    "image/apng": "image/png",
}
UNTOLD = frozenset({"application/octet-stream", "binary/octet-stream", "image/*"})
"""Declared types without a specific claim."""


@dataclass(frozen=True, slots=True)
class Mending:
    """The faults of a picture that was read nevertheless."""

    stray_bytes: bool = False
    """Whether stray bytes between its segments were skipped."""
    no_end: bool = False
    """Whether its end marker was missing."""
    share_of_rows: float = 1.0
    """Share of rows with data; the others are grey in a JPEG, else padding."""
    share_of_data: float = 1.0
    """Share of a JPEG's data that is not zeros amid it."""
    share_of_detail: float = 1.0
    """Share of the coefficients that the scans of a multi-scan JPEG contain."""


UNMENDED = Mending()


def observe(
    image: ReceivedImage,
    inspection: Inspection,
    scale: float,
    limits: ImageLimits,
    mended: Mending = UNMENDED,
) -> tuple[AnswerWarning, ...]:
    """Return the warnings about a picture prepared at ``scale``, in a fixed order."""
    facts, layout = inspection
    return (
        *_declared(image.declared_type, facts.media_type),
        *_animation(facts),
        *legibility(scale),
        *_strip(facts, limits),
        # Faults are rare, and a picture that fits should not pay for the calls.
        *(_mended(mended, facts) if mended is not UNMENDED else ()),
        *(_brightness() if layout.hdr else ()),
    )


def _mended(mended: Mending, facts: ImageFacts) -> Iterator[AnswerWarning]:
    faults = [
        *(["bytes that belong to nothing were left out"] if mended.stray_bytes else []),
        *(["its missing end was added"] if mended.no_end else []),
    ]
    if faults:
        yield AnswerWarning(IMAGE_REPAIRED, f"The file is faulty: {' and '.join(faults)}.")
    if mended.share_of_rows < 1:
        jpeg = facts.media_type is ImageType.JPEG
        rest = "grey" if jpeg else "padding, as of a broken transfer"
        yield AnswerWarning(
            IMAGE_INCOMPLETE,
            f"The file has data for {mended.share_of_rows:.0%} of the picture's rows; "
            f"the rest is {rest}.",
        )
    elif mended.share_of_data < 1:
        yield AnswerWarning(
            IMAGE_INCOMPLETE,
            f"The file has only {mended.share_of_data:.0%} of its data; zeros lie amid it, as of a "
            "broken transfer, and the picture may be shifted after them.",
        )
    elif mended.share_of_detail < 1:
        yield AnswerWarning(
            IMAGE_INCOMPLETE,
            f"The file has {mended.share_of_detail:.0%} of the scans' coefficients: fine detail "
            "or colour is missing.",
        )


def _brightness() -> Iterator[AnswerWarning]:
    yield AnswerWarning(
        HDR_TONE_MAPPED,
        "The picture is HDR (PQ or HLG); it was mapped to the brightness of a usual screen, "
        "and bright parts lose detail.",
    )


def redeclared(report: ImageReport, declared: str | None) -> ImageReport:
    """Return ``report`` for the same bytes with another declared type."""
    if report.declared_type == declared:
        return report
    others = (w for w in report.warnings if w.code != DECLARED_TYPE_CORRECTED)
    detected = report.received.media_type
    return replace(
        report, declared_type=declared, warnings=(*_declared(declared, detected), *others)
    )


def _declared(declared: str | None, detected: ImageType) -> Iterator[AnswerWarning]:
    name = (declared or "").partition(";")[0].strip().lower()
    if name and name not in UNTOLD and ALIASES.get(name, name) != detected:
        yield AnswerWarning(
            DECLARED_TYPE_CORRECTED,
            f"Declared as {name[:64]}, but the bytes are {detected}, which was used.",
        )


def _animation(facts: ImageFacts) -> Iterator[AnswerWarning]:
    if facts.frames > 1 and facts.media_type is ImageType.TIFF:
        yield AnswerWarning(
            FIRST_PAGE_ONLY, f"The file has {facts.frames} pages; only the first was used."
        )
    elif facts.frames > 1:
        yield AnswerWarning(
            FIRST_FRAME_ONLY, f"The file has {facts.frames} frames; only the first was used."
        )


def legibility(scale: float) -> Iterator[AnswerWarning]:
    """Yield a warning if a picture shown at ``scale`` may be illegible."""
    if scale < LEGIBLE_SCALE:
        least = ceil(LEGIBLE_HEIGHT / scale)
        yield AnswerWarning(
            SMALL_TEXT_ILLEGIBLE,
            f"Scaled to {scale:.0%}: letters less than {least} pixels tall in the original "
            f"may be illegible to the model.",
        )


def _strip(facts: ImageFacts, limits: ImageLimits) -> Iterator[AnswerWarning]:
    width, height = pixels.upright_size(facts.width, facts.height, facts.orientation)
    wanted = max(canvas.target(width, height, max(width, height)))
    if wanted > STRIP_LOSS * limits.max_side:
        yield AnswerWarning(
            EXTREME_ASPECT_RATIO,
            f"The model could take a strip like this {wanted} pixels long, Bedrock takes "
            f"{limits.max_side}: detail is lost. Cutting it into pieces keeps it.",
        )
