"""What is refused from a request's outline alone, before a byte is decoded."""

from app.domain.errors import (
    FieldError,
    InvalidParameterError,
    PromptMissingError,
    TooManyImagesError,
)
from app.domain.generation import GenerationRequest
from app.domain.model import ModelIdentity

_IMAGE_MARKER = "<|image|>"


def check(request: GenerationRequest, identity: ModelIdentity) -> None:
    """Return, or raise the RequestError that ``request`` deserves."""
    images = [image for turn in request.turns for image in turn.images]
    last = request.turns[-1]
    if not last.text.strip() and not last.images:
        raise PromptMissingError("prompt: give a prompt, an image, or both")
    if len(images) > identity.base.max_images:
        raise TooManyImagesError(
            f"images: {len(images)} were given, but the model takes "
            f"{identity.base.max_images} in one request",
            errors=tuple(
                FieldError(image.name, TooManyImagesError.code, "one too many")
                for image in images[identity.base.max_images :]
            ),
        )
    if request.raw_prompt:
        _check_raw(request, len(images))


def _check_raw(request: GenerationRequest, images: int) -> None:
    if request.system or request.language:
        raise InvalidParameterError(
            "raw_prompt: is sent exactly as written, so system and language must be part of it"
        )
    if (markers := request.turns[0].text.count(_IMAGE_MARKER)) != images:
        raise InvalidParameterError(
            f"prompt: has {markers} {_IMAGE_MARKER} for {images} image(s); a raw prompt needs one "
            "for each"
        )
