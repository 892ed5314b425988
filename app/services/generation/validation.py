"""Validates a request by its outline alone, before any image is decoded."""

from collections.abc import Sequence
from dataclasses import replace

from app.domain.conversation import with_newest_images
from app.domain.errors import (
    ContextLengthError,
    FieldError,
    InvalidParameterError,
    PromptMissingError,
    TooManyImagesError,
)
from app.domain.generation import GenerationRequest, ImageInput, ImageStrategy
from app.domain.model import Capabilities

MAX_SEVERAL = 16
"""Maximum images of a request with a strategy: the capacity of a contact sheet, and the most calls
that one request may cost."""

MAX_CHARACTERS = 1_000_000
"""Maximum characters of all texts of a request, twice as many as English text that fills the
context window."""

_HINTS = {
    ImageStrategy.CONTACT_SHEET: "contact_sheet lays several out on one",
    ImageStrategy.EACH: "each asks about each",
}

_IMAGE_MARKER = "<|image|>"


def checked(request: GenerationRequest, capabilities: Capabilities) -> GenerationRequest:
    """Return the validated ``request``, or raise a RequestError.

    A whole conversation is reduced to the newest images that the model takes. ``capabilities``
    are those that all targets share.
    """
    if request.whole_conversation:
        turns, warnings = with_newest_images(request.turns, capabilities.max_images)
        if warnings:
            request = replace(request, turns=turns, warnings=(*warnings, *request.warnings))
    _check(request, capabilities.max_images)
    return request


def _check(request: GenerationRequest, max_images: int) -> None:
    characters = len(request.system or "")
    for turn in request.turns:
        characters += len(turn.text)
    if characters > MAX_CHARACTERS:
        raise _too_long(characters)
    images = [image for turn in request.turns for image in turn.images]
    last = request.turns[-1]
    if not last.text.strip() and not last.images:
        raise PromptMissingError.at("prompt", "give a prompt, an image, or both")
    several = request.strategy is not ImageStrategy.SINGLE
    most = MAX_SEVERAL if several else max_images
    if len(images) > most:
        raise _too_many(images, most, "" if several else _strategies(request))
    if several and sum(bool(turn.images) for turn in request.turns) > max_images:
        place = "one turn" if max_images == 1 else f"{max_images} turns"
        raise _too_many(images, max_images, f", here in {place}")
    if request.raw_prompt:
        _check_raw(request, images)


def _too_long(characters: int) -> ContextLengthError:
    return ContextLengthError.at(
        "prompt",
        f"Input is too long for requested model: all texts together have {characters:,} "
        f"characters; at most {MAX_CHARACTERS:,} are taken",
    )


def _strategies(request: GenerationRequest) -> str:
    hints = ", ".join(_HINTS[strategy] for strategy in request.strategies)
    return f"; image_strategy {hints}" if hints else ""


def _too_many(images: list[ImageInput], most: int, hint: str) -> TooManyImagesError:
    count = f"{len(images)} were given"
    return too_many(images, most, f"{count}, but the model takes {most} in one request{hint}")


def too_many(images: Sequence[ImageInput], most: int, message: str) -> TooManyImagesError:
    """Return the error that refuses ``images`` beyond the first ``most``."""
    return TooManyImagesError(
        f"images: {message}",
        errors=tuple(
            FieldError(image.name, TooManyImagesError.code, "one image too many")
            for image in images[most:]
        ),
    )


def _check_raw(request: GenerationRequest, images: list[ImageInput]) -> None:
    if request.strategy is ImageStrategy.CONTACT_SHEET and len(images) > 1:
        raise InvalidParameterError.at(
            "image_strategy",
            "contact_sheet writes about the sheet in the prompt, which raw_prompt forbids",
        )
    if request.system or request.language:
        raise InvalidParameterError.at(
            "raw_prompt", "is sent exactly as written, so system and language must be part of it"
        )
    if (markers := request.turns[0].text.count(_IMAGE_MARKER)) != (
        needed := 1 if request.strategy is ImageStrategy.EACH and images else len(images)
    ):
        raise InvalidParameterError.at(
            "prompt",
            f"has {markers} {_IMAGE_MARKER} for {needed} image(s); a raw prompt needs one for each",
        )
