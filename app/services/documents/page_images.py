"""From what a caller sent to the pictures that the model is shown, one after the other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from app.domain.errors import TooManyPagesError
from app.domain.generation import ImageInput
from app.domain.image import ImageLimits, ImageType, ReceivedImage
from app.services.documents import pdf, render
from app.services.documents.page import Cut, Detail, cuts, view
from app.services.documents.render import Kind
from app.services.generation.image_sources import ImageSources
from app.services.geometry import View
from app.services.images.error_location import named
from app.services.images.header import inspect

T = TypeVar("T")

MOST_PAGES = 50
"""Pages of all documents of a request: each is at least one call of the model."""
MOST_SHOTS = 120
"""Pages or strips of them."""


class Workers(Protocol):
    """Runs what calls C decoders, in processes that may die."""

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Return what ``function`` makes of ``arguments``, or raise an ImageError."""
        ...


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture as the model will be shown it."""

    page: int
    """From 1."""
    load: Callable[[], Awaitable[ImageInput]]
    """Makes it, when its turn comes: the pages of a document are never all in memory."""
    view: View | None = None
    """Which part of the page it shows; None where that is the whole of a picture."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Takes documents apart."""

    sources: ImageSources
    workers: Workers
    limits: ImageLimits
    most_pages: int = MOST_PAGES
    most_shots: int = MOST_SHOTS

    @asynccontextmanager
    async def shots(
        self, images: Sequence[ImageInput], pages: str | None, detail: Detail
    ) -> AsyncIterator[list[Shot]]:
        """Yield what to show of ``images``, in order; pages count on from one to the next.

        Holds the files until it is left. Entering raises PageRangeError, TooManyPagesError, or
        what refuses one of the files.
        """
        async with AsyncExitStack() as held:
            fetched = [
                await held.enter_async_context(self.sources.fetched(image)) for image in images
            ]
            yield await self._all(fetched, pages, detail)

    async def _all(
        self, images: Sequence[ReceivedImage], pages: str | None, detail: Detail
    ) -> list[Shot]:
        shots: list[Shot] = []
        before = 0
        for image in images:
            with named(image):
                count, found = await self._shots(image, pages, detail, before)
            before += count
            shots += found
        if len(shots) > self.most_shots:
            raise TooManyPagesError(
                f"That makes {len(shots)} pages or strips; at most {self.most_shots} can be asked "
                "about at a time. Choose some with pages, or less detail."
            )
        return shots

    async def _shots(
        self, image: ReceivedImage, pages: str | None, detail: Detail, before: int
    ) -> tuple[int, list[Shot]]:
        kind = self._kind(image)
        if kind is Kind.PICTURE and detail == "auto":
            return 1, [shot_of(image, before + 1)]
        outline = await self.workers.work(
            render.outline,
            image.data,
            kind,
            None if kind is Kind.PICTURE else pages,
            self.most_pages,
            self.limits,
        )
        return outline.count, [
            Shot(before + page, partial(self._drawn, image, kind, cut), view(cut, size))
            for page, size in outline.pages
            for cut in cuts(page - 1, size, detail)
        ]

    async def _drawn(self, image: ReceivedImage, kind: Kind, cut: Cut) -> ImageInput:
        with named(image):
            data = await self.workers.work(render.drawn, image.data, kind, cut, self.limits)
        return ReceivedImage(data, "image/png", image.name)

    def _kind(self, image: ReceivedImage) -> Kind:
        if pdf.is_pdf(image.data):
            return Kind.PDF
        facts = inspect(image.data, self.limits).facts
        paged = facts.media_type is ImageType.TIFF and facts.frames > 1
        return Kind.TIFF if paged else Kind.PICTURE


async def _as_it_is(image: ImageInput) -> ImageInput:
    return image


def shot_of(image: ImageInput, page: int) -> Shot:
    """Return a picture to be shown whole, as it was sent."""
    return Shot(page, partial(_as_it_is, image))
