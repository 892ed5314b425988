"""Turns a caller's files into images for the model, one page or tile at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from app.domain.errors import (
    ImageError,
    NotAnImageError,
    TooManyPagesError,
    UnsupportedImageTypeError,
)
from app.domain.generation import ImageInput
from app.domain.image import AnswerWarning, ImageLimits, ImageType, ReceivedImage
from app.services.documents import pdf, render
from app.services.documents.page import Cut, Detail, Origin, PageRangeError, view
from app.services.documents.render import MOST_PAGES, MOST_SHOTS, Kind, Outline, Page, PageSelection
from app.services.generation.image_sources import ImageSources
from app.services.geometry import View
from app.services.images.error_location import ImageErrorLocation
from app.services.images.inspection.header import inspect
from app.services.images.inspection.sniff import sniff
from app.services.images.warnings import legibility

T = TypeVar("T")


class Workers(Protocol):
    """Runs C decoders in worker processes, which may crash."""

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Return the result of ``function`` for ``arguments``, or raise an ImageError."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """An image for the model, with warnings about parts of the page that it lacks."""

    image: ImageInput
    warnings: tuple[AnswerWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Shot:
    """One page or tile that the model will be shown."""

    page: int
    """The page's number from 1, counted across all files."""
    load: Callable[[], Awaitable[Shown]]
    """Draws the image when its turn comes, since a document's pages are never all in memory. Raises
    the error of this page alone."""
    origin: Origin = Origin()  # noqa: RUF009 - frozen
    view: View | None = None
    """The part of the page that is shown; None for a whole image."""
    scale: float = 1.0
    """Shown pixels per original pixel of an image, at most 1."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The caller's choice of pages and detail."""

    pages: str | None = None
    detail: Detail = "auto"
    text: bool = False
    """Whether to read the pages' own text layers."""
    most: int | None = None
    """Maximum pages of all files together; None for the limit of one request."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Splits documents into shots."""

    sources: ImageSources
    workers: Workers
    limits: ImageLimits
    most_pages: int = MOST_PAGES
    most_shots: int = MOST_SHOTS
    most_job_pages: int | None = None
    """Maximum pages of a job, which error messages mention; None if there are no larger jobs."""

    @asynccontextmanager
    async def shots(
        self, images: Sequence[ImageInput], choice: Choice
    ) -> AsyncIterator[list[Shot]]:
        """Yield the shots of ``images`` in order, with pages numbered across files.

        The block holds the files in memory. Entering raises PageRangeError, TooManyPagesError, or
        the error that refuses a whole file.
        """
        async with AsyncExitStack() as held:
            fetched = [
                await held.enter_async_context(self.sources.fetched(image)) for image in images
            ]
            yield await self._all(fetched, choice)

    async def _all(self, images: Sequence[ReceivedImage], choice: Choice) -> list[Shot]:
        shots: list[Shot] = []
        before = pages = 0
        most_pages = choice.most or self.most_pages
        most_shots = max(self.most_shots, most_pages)
        for image in images:
            with ImageErrorLocation(image), self._advice(choice):
                wanted = PageSelection(
                    choice.pages, choice.detail, most_pages, pages, text=choice.text
                )
                count, own = await self._shots(image, wanted, before)
            before += count
            pages += len({shot.page for shot in own})
            shots += own
        if len(shots) > most_shots:
            with self._advice(choice):
                raise TooManyPagesError(
                    f"That makes {len(shots)} pages or pieces; at most {most_shots} can be asked "
                    "about at a time. Choose some with pages, or less detail."
                )
        return shots

    @contextmanager
    def _advice(self, choice: Choice) -> Iterator[None]:
        """Add to a TooManyPagesError that a job may have more pages."""
        try:
            yield
        except TooManyPagesError as error:
            if choice.most is not None or self.most_job_pages is None:
                raise
            raise TooManyPagesError(
                f"{error.detail} With the header Prefer: respond-async the answer comes as a job, "
                f"which may have {self.most_job_pages}."
            ) from error

    async def _shots(
        self, image: ReceivedImage, wanted: PageSelection, before: int
    ) -> tuple[int, list[Shot]]:
        kind = self._kind(image)
        if kind is Kind.PICTURE and wanted.pages is not None:
            raise PageRangeError(
                f"{image.name} is a picture and has no pages to choose from; PDFs and TIFFs have"
            )
        if kind is Kind.PICTURE and wanted.detail == "auto":
            render.check_count(wanted, 1, 1)
            return 1, [shot_of(image, before + 1)]
        outline = await self._outline(image, kind, wanted)
        shots = [
            shot
            for page in outline.pages
            for shot in await self._of_page(image, kind, page, before, wanted.detail)
        ]
        return outline.count, shots

    async def _outline(self, image: ReceivedImage, kind: Kind, wanted: PageSelection) -> Outline:
        try:
            return await self.workers.work(render.outline, image.data, kind, wanted, self.limits)
        except PageRangeError as error:
            raise PageRangeError(f"{image.name}: {error}") from error

    async def _of_page(
        self, image: ReceivedImage, kind: Kind, page: Page, before: int, detail: Detail
    ) -> list[Shot]:
        number = before + page.number
        origin = Origin(image.name, page.number, page.size, text=page.text)
        if page.size is None or page.fault is not None:
            return [Shot(number, partial(_refused, image, page.fault), origin)]
        try:
            cuts = await self._cuts(image, kind, page, detail)
        except ImageError as fault:
            return [Shot(number, partial(_refused, image, fault), origin)]
        if kind is Kind.PICTURE and len(cuts) == 1 and cuts[0].drawn == page.size:
            return [shot_of(image, number)]
        return [self._shot(image, kind, number, page, cut) for cut in cuts]

    async def _cuts(
        self, image: ReceivedImage, kind: Kind, page: Page, detail: Detail
    ) -> tuple[Cut, ...]:
        if detail == "auto":
            return render.cuts_whole(kind, page)
        return await self.workers.work(render.tiled, image.data, kind, page, self.limits)

    def _shot(self, image: ReceivedImage, kind: Kind, number: int, page: Page, cut: Cut) -> Shot:
        assert page.size is not None
        scale = 1.0 if kind is Kind.PDF else min(1.0, max(cut.drawn) / max(page.size))
        return Shot(
            number,
            partial(self._drawn, image, kind, cut, scale, blank=page.text is not None),
            Origin(image.name, page.number, page.size, cut, page.text),
            view(cut, page.size),
            scale,
        )

    async def _drawn(
        self, image: ReceivedImage, kind: Kind, cut: Cut, scale: float, *, blank: bool
    ) -> Shown:
        draw = partial(render.drawn, blank=blank)
        with ImageErrorLocation(image):
            drawing = await self.workers.work(draw, image.data, kind, cut, self.limits)
        warnings = (replace(c, message=f"{image.name}: {c.message}") for c in drawing.warnings)
        return Shown(
            ReceivedImage(drawing.png, "image/png", image.name), (*warnings, *legibility(scale))
        )

    def _kind(self, image: ReceivedImage) -> Kind:
        if pdf.is_pdf(image.data):
            return Kind.PDF
        try:
            media_type = sniff(image.data)
        except (NotAnImageError, UnsupportedImageTypeError) as error:
            raise type(error)(f"{error.detail} A PDF is accepted here, too.") from error
        if media_type is not ImageType.TIFF:
            # Refuses an unusable image here.
            inspect(image.data, self.limits)
            return Kind.PICTURE
        try:
            pages = inspect(image.data, self.limits).facts.frames
        except ImageError as error:
            # The pages of a camera's raw image are previews of it.
            if "raw picture" in error.detail:
                raise
            # Perhaps only the first page is damaged.
            return Kind.TIFF
        return Kind.TIFF if pages > 1 else Kind.PICTURE


async def _refused(image: ReceivedImage, fault: ImageError | None) -> Shown:
    assert fault is not None
    with ImageErrorLocation(image):
        raise fault


async def _as_it_is(image: ImageInput) -> Shown:
    return Shown(image)


def shot_of(image: ImageInput, page: int) -> Shot:
    """Return a shot of a whole image as it was sent."""
    return Shot(page, partial(_as_it_is, image), Origin(image.name))
