"""The spine: check, prepare, ask once."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.domain.errors import (
    FieldError,
    InvalidParameterError,
    PromptMissingError,
    TooManyImagesError,
)
from app.domain.generation import (
    Generation,
    GenerationRequest,
    ImageInput,
    Latency,
    ModelRequest,
    Role,
    Turn,
)
from app.domain.image import Caveat, ImageReport, PreparedImage
from app.domain.model import Language, ModelIdentity
from app.domain.ports import ImagePreparer, VisionModel
from app.services.sources import ImageSources, located

DEFAULT_PROMPT = "Describe this image."
_IMAGE_MARKER = "<|image|>"


@dataclass(frozen=True, slots=True)
class GenerationService:
    """Answers prompts about pictures."""

    identity: ModelIdentity
    model: VisionModel
    sources: ImageSources
    preparer: ImagePreparer

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer ``request``, or raise one of `app.domain.errors`."""
        started = time.monotonic()
        # Before a byte is decoded: a refusal must cost nothing.
        check(request, self.identity)
        turns, reports = await self._prepare(request.turns)
        asked = time.monotonic()
        completion = await self.model.generate(
            ModelRequest(
                turns=in_language(with_prompt(turns), request.language),
                system=request.system,
                sampling=request.sampling,
                raw_prompt=request.raw_prompt,
            )
        )
        answered = time.monotonic()
        return Generation(
            id=f"gen_{uuid.uuid4().hex}",
            model=self.identity.id,
            completion=completion,
            images=reports,
            warnings=tuple(warnings(request, self.identity)),
            latency=Latency(
                total=round((answered - started) * 1000),
                model=completion.latency_ms or round((answered - asked) * 1000),
            ),
        )

    async def _prepare(
        self, turns: tuple[Turn[ImageInput], ...]
    ) -> tuple[tuple[Turn[PreparedImage], ...], tuple[ImageReport, ...]]:
        prepared: list[Turn[PreparedImage]] = []
        reports: list[ImageReport] = []
        for turn in turns:
            made = [await self._prepare_one(image) for image in turn.images]
            reports += made
            prepared.append(Turn(turn.role, turn.text, tuple(report.prepared for report in made)))
        return tuple(prepared), tuple(reports)

    async def _prepare_one(self, image: ImageInput) -> ImageReport:
        with located(image.name):
            return await self.preparer.prepare(await self.sources.fetch(image))


def check(request: GenerationRequest, identity: ModelIdentity) -> None:
    """Refuse what can't be answered, from the request's outline alone."""
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


def with_prompt(turns: tuple[Turn[PreparedImage], ...]) -> tuple[Turn[PreparedImage], ...]:
    """Ask for a description where the last turn is a picture without words."""
    last = turns[-1]
    if last.text.strip():
        return turns
    return (*turns[:-1], replace(last, text=DEFAULT_PROMPT))


def in_language(
    turns: tuple[Turn[PreparedImage], ...], language: Language | None
) -> tuple[Turn[PreparedImage], ...]:
    """Ask for the answer in ``language``, in the last turn.

    Not in a system turn: Meta's own template has none beside a picture.
    """
    if language is None:
        return turns
    last = turns[-1]
    text = f"{last.text}\n\nAnswer in {language.label}."
    return (*turns[:-1], replace(last, text=text))


def warnings(request: GenerationRequest, identity: ModelIdentity) -> Iterator[Caveat]:
    """What the caller should know although the request is answered."""
    pictured = any(turn.images for turn in request.turns)
    language = request.language
    if pictured and language and language not in identity.base.image_languages:
        supported = ", ".join(known.label for known in identity.base.image_languages)
        yield Caveat(
            "language_unsupported_with_images",
            f"Meta supports {supported} only where an image is involved; the answer in "
            f"{language.label} may be worse",
        )
    last = request.turns[-1]
    if last.role is Role.USER and not last.text.strip():
        yield Caveat("default_prompt", f"no prompt was given; asked was: {DEFAULT_PROMPT}")
