"""Fetches and prepares pictures among the chunks, as many as the model takes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.errors import ServiceError
from app.domain.generation import ImageInput
from app.domain.image import AnswerWarning, ImageReport, PreparedImage, ReceivedImage, S3Image
from app.domain.ports import ImagePreparer
from app.domain.retrieval import Chunk
from app.services.documents.page_images import Workers
from app.services.generation.image_sources import ImageSources
from app.services.generation.multiple_images import SheetMaker, sheet_warnings
from app.services.images.drawing.thumbnail import thumbnail
from app.services.retrieval.choice import Candidate
from app.services.retrieval.request import LeftOut, Reason, Shown, Surplus

CONCURRENT = 4
"""Maximum pictures of one question that are prepared concurrently."""
MOST_ON_SHEET = 16


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A chunk's picture, and where the model sees it."""

    candidate: Candidate
    prepared: PreparedImage
    shown: Shown
    place: str
    """The picture's place in words for the model: ``picture 2``, ``number 3 on …``."""


@dataclass(slots=True)
class Gallery:
    """The pictures of one prompt."""

    images: list[ReceivedImage] = field(default_factory=list)
    """The pictures in the order in which the model gets them; the caller's own is the first."""
    shown: list[ShownPicture] = field(default_factory=list)
    captions: list[Candidate] = field(default_factory=list)
    """The pictures that are represented by their captions."""
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[AnswerWarning] = field(default_factory=list)
    own: str = ""
    """The place of the caller's own picture in words for the model; empty if none."""


@dataclass(frozen=True, slots=True)
class ChunkPictures:
    """Makes the picture gallery of a prompt."""

    sources: ImageSources
    preparer: ImagePreparer
    sheets: SheetMaker
    workers: Workers
    max_images: int
    """Maximum pictures of one call of the model."""

    async def gallery(
        self, candidates: Sequence[Candidate], own: ImageReport | None, surplus: Surplus
    ) -> Gallery:
        """Return the pictures among ``candidates`` that the model is shown, best first."""
        made = Gallery()
        most = self.max_images + MOST_ON_SHEET
        taken, rest = candidates[:most], candidates[most:]
        made.left_out += [_too_many(candidate.chunk) for candidate in rest]
        slots = asyncio.Semaphore(CONCURRENT)
        outcomes = await asyncio.gather(*(self._prepared(each, slots) for each in taken))
        ready: list[tuple[Candidate, PreparedImage]] = []
        for candidate, outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, ImageReport):
                ready.append((candidate, outcome.prepared))
            elif candidate.chunk.text.strip():
                made.captions.append(candidate)
            else:
                made.left_out.append(outcome)
        await self._arrange(made, ready, own, surplus)
        return made

    async def prepared(self, candidates: Sequence[Candidate]) -> dict[int, PreparedImage]:
        """Return the pictures that can be used, by rank; as many as a sheet would hold."""
        slots = asyncio.Semaphore(CONCURRENT)
        taken = candidates[:MOST_ON_SHEET]
        outcomes = await asyncio.gather(*(self._prepared(each, slots) for each in taken))
        return {
            candidate.rank: outcome.prepared
            for candidate, outcome in zip(taken, outcomes, strict=True)
            if isinstance(outcome, ImageReport)
        }

    async def _prepared(
        self, candidate: Candidate, slots: asyncio.Semaphore
    ) -> ImageReport | LeftOut:
        async with slots:
            chunk = candidate.chunk
            try:
                async with self.sources.fetched(_input(candidate)) as fetched:
                    return await self.preparer.prepare(fetched)
            except ServiceError as error:
                message = f"{error.code}: {error.detail}"
                return LeftOut(chunk, Reason.PICTURE_UNUSABLE, message)

    async def _arrange(
        self,
        made: Gallery,
        ready: Sequence[tuple[Candidate, PreparedImage]],
        own: ImageReport | None,
        surplus: Surplus,
    ) -> None:
        """Place each picture by itself, on the sheet, or nowhere."""
        mine = () if own is None else (own.prepared,)
        room = self.max_images - len(mine)
        alone = len(ready)
        if len(ready) > room:
            # The sheet itself takes one of the places.
            alone = max(0, room - 1) if surplus is Surplus.CONTACT_SHEET else max(0, room)
        on_sheet = surplus is Surplus.CONTACT_SHEET and alone < len(ready)
        if on_sheet and room < 1:
            await self._all_on_sheet(made, ready, mine)
            return
        for prepared in mine:
            made.images.append(_received(prepared))
            made.own = "picture 1"
        for candidate, prepared in ready[:alone]:
            made.images.append(_received(prepared))
            place = f"picture {len(made.images)}"
            made.shown.append(ShownPicture(candidate, prepared, Shown.PICTURE, place))
        if on_sheet:
            await self._sheet(made, ready[alone:], ())
        else:
            self._spare(made, ready[alone:])

    async def _all_on_sheet(
        self,
        made: Gallery,
        ready: Sequence[tuple[Candidate, PreparedImage]],
        mine: tuple[PreparedImage, ...],
    ) -> None:
        """Lay the caller's and the chunks' pictures on one sheet, as the model takes only one."""
        made.own = "number 1 on the contact sheet"
        await self._sheet(made, ready, mine)

    async def _sheet(
        self,
        made: Gallery,
        ready: Sequence[tuple[Candidate, PreparedImage]],
        before: tuple[PreparedImage, ...],
    ) -> None:
        fitting = ready[: MOST_ON_SHEET - len(before)]
        made.left_out += [_too_many(each.chunk) for each, _ in ready[len(fitting) :]]
        pictures = [*before, *(prepared for _, prepared in fitting)]
        sheet = await self.sheets.contact_sheet(pictures)
        made.images.append(_received(sheet.prepared))
        made.warnings += sheet_warnings(sheet, len(pictures))
        where = f"the contact sheet, which is picture {len(made.images)}"
        for number, (candidate, prepared) in enumerate(fitting, len(before) + 1):
            place = f"number {number} on {where}"
            made.shown.append(ShownPicture(candidate, prepared, Shown.CONTACT_SHEET, place))

    def _spare(self, made: Gallery, ready: Sequence[tuple[Candidate, PreparedImage]]) -> None:
        """Replace the pictures without a place by their texts."""
        for candidate, _ in ready:
            if candidate.chunk.text.strip():
                made.captions.append(candidate)
            else:
                message = "there is no room for it, and it has no text to show instead"
                made.left_out.append(LeftOut(candidate.chunk, Reason.NO_CAPTION, message))

    async def thumbnail(self, picture: PreparedImage | None) -> bytes | None:
        """Return a small JPEG of ``picture``; None if that fails."""
        if picture is None:
            return None
        try:
            return await self.workers.work(thumbnail, picture.data)
        except ServiceError:
            # The answer must not fail because of a thumbnail.
            return None


def _input(candidate: Candidate) -> ImageInput:
    name = f"chunks.{candidate.rank}"
    chunk = candidate.chunk
    if chunk.picture is not None:
        return ReceivedImage(chunk.picture, None, name)
    bucket, _, key = chunk.location.removeprefix("s3://").partition("/")
    return S3Image(bucket, key, None, name)


def _received(prepared: PreparedImage) -> ReceivedImage:
    return ReceivedImage(prepared.data, prepared.media_type.value, "image")


def _too_many(chunk: Chunk) -> LeftOut:
    return LeftOut(chunk, Reason.TOO_MANY_PICTURES, "better ones took the room for pictures")
