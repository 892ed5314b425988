"""Make one picture right for the model: the whole path, in one process, without I/O."""

from hashlib import sha256

import pyvips

from app.domain.errors import (
    ExtremeAspectRatioError,
    ImageDecoderError,
)
from app.domain.image import (
    ImageFacts,
    ImageLimits,
    ImageReport,
    PreparedImage,
    ReceivedImage,
    Treatment,
)
from app.services.images import canvas, pixels
from app.services.images.decode import SHRUNK_WHILE_DECODED, damaged, decode, is_upright
from app.services.images.encode import encode
from app.services.images.header import Inspection, check_pixels, inspect
from app.services.images.strip import passable
from app.services.images.warnings import observe


def prepare(image: ReceivedImage, limits: ImageLimits) -> ImageReport:
    """One upright sRGB picture within ``limits``, and what was done to get it.

    Raises a subclass of `ImageError`; whatever the bytes are, nothing else.
    """
    inspection = inspect(image.data, limits)
    report = prepare_undecoded(image, inspection, limits)
    return report or prepare_decoded(image, inspection, limits)


def prepare_undecoded(
    image: ReceivedImage, inspection: Inspection, limits: ImageLimits
) -> ImageReport | None:
    """The report where the picture fits as it is, None where it has to be decoded.

    Plain Python over bytes, so it is safe in the service's own process.
    """
    facts = inspection.facts
    _target(facts, limits)
    data = passable(image.data, facts, inspection.layout, limits)
    if data is None:
        return None
    treatment = Treatment.UNCHANGED if data is image.data else Treatment.STRIPPED
    prepared = PreparedImage(data, facts.media_type, facts.width, facts.height)
    return _report(image, facts, prepared, treatment, limits)


def prepare_decoded(
    image: ReceivedImage, inspection: Inspection, limits: ImageLimits
) -> ImageReport:
    """The report of a picture decoded, resized and encoded again.

    Calls C decoders: on untrusted bytes only in a process that may die.
    """
    facts = inspection.facts
    try:
        data, media_type, rendered = encode(_render(image.data, facts, limits), limits.byte_budget)
    except pyvips.Error as error:
        # Most loaders read a picture's rows only when they are asked for.
        raise damaged(facts) from error
    except MemoryError as error:
        raise ImageDecoderError("Decoding the picture takes more memory than it may.") from error
    # Hashed here, in a process of its own, and not when the event loop is asked for it.
    digest = sha256(data).hexdigest()
    prepared = PreparedImage(data, media_type, rendered.width, rendered.height, digest)
    return _report(image, facts, prepared, Treatment.ENCODED, limits)


def _render(data: bytes, facts: ImageFacts, limits: ImageLimits) -> pyvips.Image:
    stored = _target(facts, limits)
    image = decode(data, facts, stored)
    orientation = 1 if is_upright(facts.media_type) else facts.orientation
    if facts.media_type not in SHRUNK_WHILE_DECODED:
        # A decoder may see another size than the header reader did: it has the last word.
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
    facts: ImageFacts,
    prepared: PreparedImage,
    treatment: Treatment,
    limits: ImageLimits,
) -> ImageReport:
    scale = min(1.0, max(prepared.width, prepared.height) / max(facts.width, facts.height))
    return ImageReport(
        received=facts,
        declared_type=image.declared_type,
        prepared=prepared,
        canvas=canvas.choose(prepared.width, prepared.height),
        scale=scale,
        treatment=treatment,
        warnings=observe(image, facts, scale, limits),
    )
