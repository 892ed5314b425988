"""What is refused from a request's outline alone, before a byte is decoded."""

from app.domain.errors import (
    FieldError,
    InvalidParameterError,
    PromptMissingError,
    TooManyImagesError,
)
from app.domain.generation import GenerationRequest, ImageInput, ImageStrategy
from app.domain.model import ModelIdentity

MAX_SEVERAL = 16
"""Pictures of one request: as many as a contact sheet holds, and calls that one may cost."""

_STRATEGIES = "; image_strategy contact_sheet lays several out on one, each asks about each"

_IMAGE_MARKER = "<|image|>"


def check(request: GenerationRequest, identity: ModelIdentity) -> None:
    """Return, or raise the RequestError that ``request`` deserves."""
    images = [image for turn in request.turns for image in turn.images]
    last = request.turns[-1]
    if not last.text.strip() and not last.images:
        raise PromptMissingError("prompt: give a prompt, an image, or both")
    several = request.strategy is not ImageStrategy.SINGLE
    most = MAX_SEVERAL if several else identity.base.max_images
    if len(images) > most:
        raise _too_many(images, most, "" if several else _STRATEGIES)
    if several and sum(bool(turn.images) for turn in request.turns) > identity.base.max_images:
        raise _too_many(images, identity.base.max_images, ", here in one turn")
    if request.raw_prompt:
        _check_raw(request, images)


def _too_many(images: list[ImageInput], most: int, hint: str) -> TooManyImagesError:
    return TooManyImagesError(
        f"images: {len(images)} were given, but the model takes {most} in one request{hint}",
        errors=tuple(
            FieldError(image.name, TooManyImagesError.code, "one too many")
            for image in images[most:]
        ),
    )


def _check_raw(request: GenerationRequest, images: list[ImageInput]) -> None:
    if request.strategy is ImageStrategy.CONTACT_SHEET and len(images) > 1:
        raise InvalidParameterError(
            "image_strategy: contact_sheet writes about the sheet in the prompt, which raw_prompt "
            "forbids"
        )
    if request.system or request.language:
        raise InvalidParameterError(
            "raw_prompt: is sent exactly as written, so system and language must be part of it"
        )
    if (markers := request.turns[0].text.count(_IMAGE_MARKER)) != (
        needed := 1 if request.strategy is ImageStrategy.EACH and images else len(images)
    ):
        raise InvalidParameterError(
            f"prompt: has {markers} {_IMAGE_MARKER} for {needed} image(s); a raw prompt needs one "
            "for each"
        )
