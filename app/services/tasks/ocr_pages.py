"""Assembles the text, lines, blocks and tables of each page from all of its tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Annotated, cast

from pydantic import Field

from app.services.deferred_model import DeferredModel
from app.services.documents.page import Cut
from app.services.geometry import Box
from app.services.tasks.boxes import BoxOut, enclosing, placed
from app.services.tasks.ocr_answers import Answer, Blocks, Kind, Lines, Marked, Plain, Rows
from app.services.tasks.pages import PageFacts, PageReport, facts, report
from app.services.tasks.spec import Finding
from app.services.tasks.strips import Level, Strip, beside, joined, spliced
from app.services.tasks.tables import Table, as_html, in_markdown

LEAST_OF_BOX = 4
"""A slanting line takes at least a fourth of its box's height."""


class LineOut(DeferredModel):
    """One line with its place."""

    page: int
    text: str
    box: Annotated[
        BoxOut | None, Field(description="On the page or the picture; null if the model gave none.")
    ]


class TableOut(DeferredModel):
    """Rows of cells."""

    rows: Annotated[Table, Field(description="The header first.")]
    html: Annotated[str, Field(description="The same as an HTML table.")]
    box: Annotated[BoxOut | None, Field(description="Null if the model gave none.")]


class PagedTable(TableOut, PageFacts):
    """A table and its page."""


class BlockOut(DeferredModel):
    """A part of a page with its place."""

    kind: Kind
    text: str
    box: Annotated[BoxOut | None, Field(description="Null if the model gave none.")]


class PageOut(PageReport):
    """One page or picture."""

    text: Annotated[
        str | None, Field(description="Null if nothing could be read. See `text_layer`.")
    ]
    markdown: Annotated[
        str | None, Field(description="With output `markdown` or `blocks`; else null.")
    ]
    blocks: Annotated[list[BlockOut], Field(description="With output `blocks`, in reading order.")]
    tables: Annotated[
        list[TableOut], Field(description="With output `markdown` or `blocks`, or layout `table`.")
    ]
    text_layer: Annotated[
        str | None,
        Field(description="The page's own text, if a PDF has it and it was requested."),
    ]
    model_text: Annotated[
        str | None, Field(description="What the model read if `text` is the page's own.")
    ]


@dataclass(frozen=True, slots=True)
class Piece:
    """A line, a table row or a block that was read."""

    text: str
    box: BoxOut | None = None
    kind: Kind = "other"
    cells: tuple[str, ...] = ()
    level: Level | None = None
    """Its first and last pixel row on the levelled page, for all tiles alike; None if unknown."""
    tilt: float = 0.0
    """The slope of its line in fractions of the page."""

    @property
    def place(self) -> Box | None:
        """Return the box on the levelled page in fractions of the page."""
        box = self.box
        if box is None or not self.tilt:
            return Box(box.left, box.top, box.right, box.bottom) if box else None
        height = box.bottom - box.top
        middle = (box.top + box.bottom) / 2 - self.tilt * (box.left + box.right) / 2
        # The box around a slanting line is higher than the line itself, although a box that
        # the model guessed may be lower.
        half = max(height / LEAST_OF_BOX, height - abs(self.tilt) * (box.right - box.left)) / 2
        return Box(box.left, middle - half, box.right, middle + half)


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page that was read, before it is rendered in any form."""

    findings: Sequence[Finding[Answer]]
    form: type[Answer]
    pieces: Sequence[Piece]

    @classmethod
    def from_findings(cls, findings: Sequence[Finding[Answer]], form: type[Answer]) -> "ReadPage":
        """Create the page from the findings of its tiles."""
        read = [finding for finding in findings if finding.answer is not None]
        return cls(findings, form, _together(read))

    @property
    def text_layer(self) -> str | None:
        """Return the page's own text, if it was requested and exists."""
        return self.findings[0].origin.text

    @property
    def read_text(self) -> str | None:
        """Return the text that the model read, or None if nothing could be read."""
        if all(finding.answer is None for finding in self.findings):
            return None
        return ("\n\n" if self.form is Blocks else "\n").join(piece.text for piece in self.pieces)

    @property
    def markdown(self) -> str | None:
        """Return the page in Markdown if that or blocks were requested, else None."""
        if self.form is Marked:
            return self.read_text
        if self.form is not Blocks or self.read_text is None:
            return None
        return "\n\n".join(_marked(piece) for piece in self.pieces)

    def lines(self) -> list[LineOut]:
        """Return each line with its box, if that is known."""
        page = self.findings[0].page
        return [
            LineOut(page=page, text=line, box=piece.box)
            for piece in self.pieces
            for line in piece.text.splitlines()
            if line.strip()
        ]

    def tables(self) -> list[TableOut]:
        """Return the page's tables."""
        if self.form is Rows:
            rows = [list(piece.cells) for piece in self.pieces]
            return [_table(rows, None)] if rows else []
        if self.form is Blocks:
            tables = (piece for piece in self.pieces if piece.kind == "table")
            return [_table(rows, t.box) for t in tables for rows in in_markdown(t.text)]
        return [_table(rows, None) for rows in in_markdown(self.markdown or "")]

    def paged_tables(self) -> list[PagedTable]:
        """Return the page's tables with the page's facts."""
        return [PagedTable(**facts(self.findings), **dict(table)) for table in self.tables()]

    def out(self) -> PageOut:
        """Return the page for the result."""
        blocks = self.pieces if self.form is Blocks else ()
        own = self.text_layer
        return PageOut(
            **report(self.findings),
            text=self.read_text if own is None else own,
            markdown=self.markdown,
            blocks=[BlockOut(kind=p.kind, text=p.text, box=p.box) for p in blocks],
            tables=self.tables(),
            text_layer=own,
            model_text=None if own is None else self.read_text,
        )


def text_of(answer: Answer) -> str:
    """Return the text of one answer."""
    return "\n".join(piece.text for piece in _pieces(Finding(answer)))


def _table(rows: Table, box: BoxOut | None) -> TableOut:
    return TableOut(rows=rows, html=as_html(rows), box=box)


def _marked(piece: Piece) -> str:
    prefix = {"title": "# ", "heading": "## "}.get(piece.kind, "")
    return prefix + (" ".join(piece.text.split()) if prefix else piece.text)


def _together(findings: Sequence[Finding[Answer]]) -> list[Piece]:
    """Return the pieces of all tiles of a page without duplicates."""
    rows = [list(row) for _, row in groupby(findings, key=_row)]
    strips = [Strip(_side_by_side(row), *_span(row[0])) for row in rows]
    return joined(strips, key=lambda piece: piece.text, place=lambda piece: piece.place)


def _row(finding: Finding[Answer]) -> int:
    return finding.origin.cut.row if finding.origin.cut else 0


def _span(finding: Finding[Answer]) -> tuple[float, float, float]:
    """Return the share of a row's ink that the row above also shows, and its top and bottom."""
    cut = finding.origin.cut
    if cut is None:
        return 0.0, 0.0, 1.0
    _, top, _, height = cut.tile
    whole = cut.drawn.height
    share = cut.shared_above / height if cut.share_above is None else cut.share_above
    if cut.slant is not None:
        return share, cut.slant.top / whole, cut.slant.bottom / whole
    return share, top / whole, (top + height) / whole


def _side_by_side(row: Sequence[Finding[Answer]]) -> list[Piece]:
    if len(row) == 1:
        return list(_pieces(row[0]))
    pieces = _levelled(row[0])
    for finding in row[1:]:
        cut = finding.origin.cut
        right = _levelled(finding)
        if isinstance(finding.answer, Blocks) or cut is None:
            pieces = [*pieces, *right]
            continue
        width = max((len(piece.cells) for piece in pieces), default=0)
        common = _common(cut, right)
        pieces = beside(
            pieces,
            [_behind(width, piece) for piece in right],
            common=common,
            gap=cut.gap_left,
            key=lambda piece: piece.text,
            splice=partial(_spliced, width, common=common),
            level=lambda piece: piece.level,
        )
    most = max((len(piece.cells) for piece in pieces), default=0)
    return [replace(piece, cells=_filled(piece.cells, most)) for piece in pieces]


def _common(cut: Cut, pieces: Sequence[Piece]) -> float:
    """Return the approximate characters of a line that a tile shares with the one on its left."""
    # The longest line extends nearly from edge to edge.
    longest = max((len(piece.text) for piece in pieces), default=0)
    return longest * cut.shared_left / cut.tile.width


def _filled(cells: tuple[str, ...], width: int) -> tuple[str, ...]:
    return (*cells, *[""] * (width - len(cells)))


def _behind(width: int, piece: Piece) -> Piece:
    """Return a table row with ``width`` empty cells in front."""
    return replace(piece, cells=(*[""] * width, *piece.cells)) if piece.cells else piece


def _spliced(width: int, left: Piece, right: Piece, text: str, *, common: float) -> Piece:
    box = enclosing(left.box, right.box) if left.box and right.box else None
    cells, others = _filled(left.cells, width), right.cells[width:]
    if common and cells and others:
        cells, others = (*cells[:-1], spliced(cells[-1], others[0], common=common)), others[1:]
    levels = [level for level in (left.level, right.level) if level]
    return replace(
        left,
        text="\t".join((*cells, *others)) or text,
        box=box,
        cells=(*cells, *others),
        level=(min(levels)[0], max(bottom for _, bottom in levels)) if levels else None,
    )


def _levelled(finding: Finding[Answer]) -> list[Piece]:
    """Return a tile's pieces with their levels, from the ink on the page or the model's boxes."""
    pieces, cut = list(_pieces(finding)), finding.origin.cut
    if cut is None or not pieces:
        return pieces
    texts = [piece for piece in pieces if piece.text.strip()]
    if len(texts) == len(cut.lines):
        rows = iter([(float(row.start), float(row.start + row.length)) for row in cut.lines])
    elif all(piece.box for piece in texts):
        rows = iter([_rows(cut, piece.box) for piece in texts if piece.box])
    else:
        return pieces
    result: list[Piece] = []
    last = cut.level(cut.tile.left, cut.tile.top)
    for piece in pieces:
        level = next(rows) if piece.text.strip() else (last, last)
        result.append(replace(piece, level=level))
        last = level[1]
    return result


def _rows(cut: Cut, box: BoxOut) -> Level:
    """Return the pixel rows on the levelled page of a line with this box."""
    width, height = cut.drawn
    middle = cut.level((box.left + box.right) / 2 * width, (box.top + box.bottom) / 2 * height)
    steep = abs(cut.slant.steep) if cut.slant else 0.0
    half = max(1.0, (box.bottom - box.top) * height - steep * (box.right - box.left) * width) / 2
    return middle - half, middle + half


def _pieces(finding: Finding[Answer]) -> Iterator[Piece]:
    answer, cut = cast("Answer", finding.answer), finding.origin.cut
    slant = cut.slant if cut else None
    tilt = slant.steep * cut.drawn.width / cut.drawn.height if cut and slant else 0.0

    def place(box: list[float] | None) -> BoxOut | None:
        return placed(box, finding.view) if box and finding.view else None

    match answer:
        case Plain(text=text) | Marked(markdown=text):
            yield from map(Piece, text.splitlines())
        case Lines(lines=lines):
            for line in lines:
                yield Piece(line.text, place(line.box), tilt=tilt)
        case Rows(rows=rows):
            for row in rows:
                yield Piece("\t".join(row), cells=tuple(row))
        case Blocks(blocks=blocks):
            for block in blocks:
                yield Piece(block.text, place(block.box), block.kind, tilt=tilt)
