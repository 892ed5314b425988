"""A worker's operations on a document: listing its pages and drawing parts of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import pyvips
from PIL import UnidentifiedImageError

from app.domain.errors import (
    ExtremeAspectRatioError,
    ImageDamagedError,
    ImageError,
    TooManyPagesError,
)
from app.domain.image import AnswerWarning, ImageLimits
from app.services.documents import ink, pdf, pdf_raster, tiff
from app.services.documents.page import (
    WIDTH,
    Cut,
    Detail,
    Tile,
    in_tiles,
    least_tiles,
    selected,
    whole,
)
from app.services.documents.tiling import tiles
from app.services.geometry import TURNED, Size
from app.services.images.codecs import pixels
from app.services.images.codecs.decode import decode, is_upright
from app.services.images.codecs.encode import to_png
from app.services.images.inspection.header import inspect

MOST_PAGES = 50
"""Maximum pages of all documents of a request, each of which takes at least one model call."""
MOST_SHOTS = 120
"""Maximum pages and tiles of a request."""
UNENLARGED = 1.0
"""Maximum drawn pixels per original pixel, as an image is never enlarged."""


class Kind(StrEnum):
    """The kind of a file, which decides how it is split into pages."""

    PDF = "pdf"
    TIFF = "tiff"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class PageSelection:
    """The requested pages of a document and their detail."""

    pages: str | None
    """A range such as ``1-3,5``; None for all."""
    detail: Detail
    most: int = MOST_PAGES
    """Maximum pages of all files together."""
    before: int = 0
    """Pages of other files that are already selected."""
    text: bool = False
    """Whether to read the pages' own text layers."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn part of a page for the model."""

    png: bytes
    warnings: tuple[AnswerWarning, ...] = ()
    """Warnings about parts of the page that it lacks."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a document, as far as it is known without drawing it."""

    number: int
    """The page's number, from 1."""
    size: Size | None
    """Size in points for a PDF, else in upright pixels; None if there is a fault."""
    fault: ImageError | None = None
    """Why the page can't be shown."""
    text: str | None = None
    """The page's text layer, if it was requested and exists."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A document's page count and its selected pages."""

    count: int
    """The number of all pages, selected or not."""
    pages: tuple[Page, ...]


def outline(data: bytes, kind: Kind, wanted: PageSelection, limits: ImageLimits) -> Outline:
    """Return the outline of the ``wanted`` pages.

    Raises PageRangeError, TooManyPagesError, or an error about the whole document. A fault of a
    single page is returned with the page.
    """
    match kind:
        case Kind.PDF:
            with pdf.opened(data) as document:
                read = partial(pdf.text_layer, document) if wanted.text else _no_text
                return _outlined(
                    wanted, len(document), partial(pdf.size, document, wanted.detail), read
                )
        case Kind.TIFF:
            return _outlined(wanted, tiff.count(data, limits), partial(tiff.size, data, limits))
        case Kind.PICTURE:
            return _outlined(wanted, 1, lambda _: _picture_size(data, limits))


def _no_text(_: int) -> None:
    return None


def _outlined(
    wanted: PageSelection,
    count: int,
    size: Callable[[int], Size],
    text: Callable[[int], str | None] = _no_text,
) -> Outline:
    chosen = selected(wanted.pages, count)
    check_count(wanted, len(chosen), count)
    return Outline(count, tuple(_page(number, size, text(number)) for number in chosen))


def check_count(wanted: PageSelection, chosen: int, count: int) -> None:
    """Raise TooManyPagesError if ``chosen`` pages of a file's ``count`` are too many."""
    if chosen + wanted.before > wanted.most:
        others = f", and {wanted.before} of other files" if wanted.before else ""
        raise TooManyPagesError(
            f"{chosen} of {count} pages are asked about{others}; at most {wanted.most} of "
            "all files together can be at a time. Choose some with pages."
        )


def _page(number: int, size: Callable[[int], Size], text: str | None) -> Page:
    try:
        with page_named(number):
            return Page(number, size(number), text=text)
    except ImageError as fault:
        return Page(number, None, fault, text)


@contextmanager
def page_named(number: int) -> Iterator[None]:
    """Put the page's number before the detail of an ImageError."""
    try:
        yield
    except ImageError as error:
        error.detail = f"page {number}: {error.detail}"
        error.args = (error.detail,)
        raise


def cuts_whole(kind: Kind, page: Page) -> tuple[Cut, ...]:
    """Return a single cut with the whole page."""
    assert page.size is not None
    # A PDF page may be enlarged, because its letters are vector graphics.
    return (whole(page.number, page.size, WIDTH if kind is Kind.PDF else UNENLARGED),)


def tiled(data: bytes, kind: Kind, page: Page, limits: ImageLimits) -> tuple[Cut, ...]:
    """Return the tiles of a page, which is drawn to find empty space, or raise an ImageError."""
    assert page.size is not None
    drawn = in_tiles(page.size, pdf.SHARPEST if kind is Kind.PDF else UNENLARGED)
    with page_named(page.number):
        if least_tiles(drawn) > MOST_SHOTS:
            raise ExtremeAspectRatioError(
                f"It makes about {least_tiles(drawn)} pieces; at most {MOST_SHOTS} can be shown."
            )
        everything = Cut(page.number, drawn, Tile(0, 0, *drawn))
        image, _ = _raster(data, kind, everything, limits, blank=page.text is not None)
        return tuple(tiles(page.number, image))


def drawn(
    data: bytes, kind: Kind, cut: Cut, limits: ImageLimits, *, blank: bool = False
) -> Drawing:
    """Draw a part of a page, or raise an ImageError.

    ``blank`` accepts a page that shows none of its text, for callers who have the text.
    """
    with page_named(cut.page):
        image, warnings = _raster(data, kind, cut, limits, blank=blank)
        if cut.slant is not None:
            image = ink.slanted(image, cut.tile, cut.slant, ink.paper(image))
        return Drawing(to_png(image), warnings)


def _raster(
    data: bytes, kind: Kind, cut: Cut, limits: ImageLimits, *, blank: bool
) -> tuple[pyvips.Image, tuple[AnswerWarning, ...]]:
    match kind:
        case Kind.PDF:
            return pdf_raster.raster(data, cut, blank=blank)
        case Kind.TIFF:
            return tiff.raster(data, cut, limits).crop(*cut.tile), ()
        case Kind.PICTURE:
            return _picture(data, cut, limits).crop(*cut.tile), ()


def _picture_size(data: bytes, limits: ImageLimits) -> Size:
    facts = inspect(data, limits).facts
    return Size(*pixels.upright_size(facts.width, facts.height, facts.orientation))


def _picture(data: bytes, cut: Cut, limits: ImageLimits) -> pyvips.Image:
    facts = inspect(data, limits).facts
    width, height = cut.drawn
    stored = (height, width) if facts.orientation >= TURNED else (width, height)
    orientation = 1 if is_upright(facts.media_type) else facts.orientation
    try:
        return pixels.render(
            decode(data, facts, stored), cut.drawn if orientation == 1 else stored, orientation
        )
    except (pyvips.Error, UnidentifiedImageError, OSError, ValueError) as error:
        raise ImageDamagedError("It is damaged: it can't be decoded.") from error
