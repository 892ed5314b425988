"""Strategies for several images with a one-image model: a contact sheet, or a call for each."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import structlog

from app.domain.errors import InternalError, ServiceError
from app.domain.generation import (
    Generation,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Latency,
    Part,
    Role,
    Turn,
)
from app.domain.image import AnswerWarning, PreparedImage
from app.services.generation.combine import combined
from app.services.generation.prompt import DEFAULT_PROMPT
from app.services.images.drawing.sheet import ContactSheet

CONCURRENT = 4
"""Maximum concurrent calls of one request, so that it can't monopolise the model."""

log = structlog.get_logger()

T = TypeVar("T")

Ask = Callable[[GenerationRequest], Awaitable[Generation]]


class SheetMaker(Protocol):
    """Lays prepared images out on one contact sheet."""

    async def contact_sheet(self, pictures: Sequence[PreparedImage]) -> ContactSheet:
        """Return the sheet, or raise an ImageError."""
        ...


def laid_out(text: str, sheet: ContactSheet, count: int) -> Turn[PreparedImage]:
    """Return the user's turn with the sheet as its image and a description of it in the prompt."""
    description = (
        f"The image is a contact sheet of {count} separate pictures, in reading order, in "
        f"{sheet.columns} column(s) and {sheet.rows} row(s). Each has its number, 1 to {count}, "
        "above it."
    )
    return Turn(Role.USER, f"{description}\n\n{text.strip() or DEFAULT_PROMPT}", (sheet.prepared,))


def sheet_warnings(sheet: ContactSheet, count: int) -> tuple[AnswerWarning, ...]:
    """Return the warnings about the contact sheet."""
    picture = sheet.prepared
    made = AnswerWarning(
        "contact_sheet",
        f"{count} pictures were laid out on one of {picture.width} x {picture.height} pixels, in "
        f"{sheet.columns} column(s) and {sheet.rows} row(s); the smallest has "
        f"{min(sheet.scales):.0%} of its prepared size there",
    )
    return (made, *sheet.warnings)


def asks_each(request: GenerationRequest) -> bool:
    """Return whether ``request`` takes more than one call."""
    return request.strategy is ImageStrategy.EACH and len(request.turns[-1].images) > 1


def calls(request: GenerationRequest) -> tuple[GenerationRequest, ...]:
    """Split ``request`` into one request for each call."""
    if not asks_each(request):
        return (request,)
    return tuple(with_one(request, image) for image in request.turns[-1].images)


async def ask_each(request: GenerationRequest, ask: Ask) -> Generation:
    """Ask once for each image of the last turn, a few at a time, and combine the answers.

    A failure of one image is reported beside the other answers, which are paid for. Raises the
    first failure if no image has an answer.
    """
    started = asyncio.get_running_loop().time()
    slots = asyncio.Semaphore(CONCURRENT)

    async def part(one: GenerationRequest) -> Part:
        async with slots:
            return await _part(one.turns[-1].images[0].name, one, ask)

    parts = await asyncio.gather(*map(part, calls(request)))
    answers = [part.generation for part in parts if part.generation is not None]
    if not answers:
        raise next(part.error for part in parts if part.error is not None)
    return _together(parts, answers, round((asyncio.get_running_loop().time() - started) * 1000))


async def _part(name: str, request: GenerationRequest, ask: Ask) -> Part:
    try:
        return Part(name, generation=await ask(request))
    except ServiceError as error:
        return Part(name, error=error)
    except Exception:
        # The other images' answers are paid for and must survive a bug in this one.
        log.exception("one picture of several failed", image=name)
        return Part(name, error=InternalError(f"{name}: a fault of this service"))


def with_one(request: GenerationRequest, image: ImageInput) -> GenerationRequest:
    """Return ``request`` with ``image`` alone in its last turn."""
    *earlier, last = request.turns
    turns = (*earlier, replace(last, images=(image,)))
    return replace(request, turns=turns, strategy=ImageStrategy.SINGLE)


def _together(parts: Sequence[Part], answers: Sequence[Generation], total_ms: int) -> Generation:
    """Return one answer for all images, with the texts joined and the counts added up."""
    text = "\n\n".join(
        f"Image {number}: {part.generation.completion.text}"
        for number, part in enumerate(parts, 1)
        if part.generation is not None
    )
    together = combined(
        answers,
        id=f"gen_{uuid.uuid4().hex}",
        text=text,
        latency=Latency(total=total_ms, model=max(a.latency.model for a in answers)),
        images=[image for answer in answers for image in answer.images],
        warnings=(
            *_partial(parts, answers),
            *dict.fromkeys(w for a in answers for w in a.warnings),
        ),
    )
    return replace(together, parts=tuple(parts))


def _partial(parts: Sequence[Part], answers: Sequence[Generation]) -> tuple[AnswerWarning, ...]:
    if len(answers) == len(parts):
        return ()
    failed = ", ".join(part.name for part in parts if part.error is not None)
    return (
        AnswerWarning("partial_failure", f"no answer for {failed}; see its error in generations"),
    )
