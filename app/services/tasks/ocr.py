"""The OCR task: reads the text in pictures and on pages in the requested layout."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from app.domain.image import AnswerWarning
from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model
from app.services.evidence.claim import Claim, Path, leaves
from app.services.tasks.capability import BOXES_UNTRAINED, TABLES_UNTRAINED, Capability
from app.services.tasks.ocr_answers import Answer, Blocks, Lines, Marked, Plain, Rows
from app.services.tasks.ocr_pages import LineOut, PagedTable, PageOut, ReadPage, TableOut, text_of
from app.services.tasks.pages import by_page
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    LISTING,
    DocumentParameters,
    Example,
    Finding,
    Images,
    Question,
    Result,
    Task,
    TaskParameterError,
    VerifiedParameters,
)

Layout = Literal["plain", "lines", "markdown", "table"]
Output = Literal["text", "markdown", "blocks"]


class OcrParameters(DocumentParameters, VerifiedParameters):
    """The layout of the text and hints for reading it."""

    layout: Annotated[
        Layout,
        Field(
            description="`plain`: text. `lines`: each line with its place. `markdown`: headings, "
            "lists and tables marked up. `table`: rows of cells."
        ),
    ] = "plain"
    output: Annotated[
        Output | None,
        Field(
            description="The form of each page, in place of `layout`. `text`: its text. "
            "`markdown`: Markdown, and its tables. `blocks`: titles, paragraphs, tables and others "
            "with their places, and Markdown made of them."
        ),
    ] = None
    text_layer: Annotated[
        Literal["prefer", "ignore"],
        Field(
            description="`prefer`: if a PDF's page has text of its own, `text` is that, and "
            "`model_text` is what the model read."
        ),
    ] = "ignore"
    hint: Annotated[
        str | None,
        Field(max_length=100, description="Language or kind of the text: `German`, `handwriting`."),
    ] = None

    @property
    def wants_text(self) -> bool:
        """Return whether to read the pages' own text layers."""
        return self.text_layer == "prefer"

    @property
    def form(self) -> type[Answer]:
        """Return the form of the model's answers."""
        return OUTPUTS[self.output] if self.output else LAYOUTS[self.layout]


LAYOUTS: dict[Layout, type[Answer]] = {
    "plain": Plain,
    "lines": Lines,
    "markdown": Marked,
    "table": Rows,
}
OUTPUTS: dict[Output, type[Answer]] = {"text": Plain, "markdown": Marked, "blocks": Blocks}
WISHES: dict[type[Answer], str] = {
    Plain: "Keep the line breaks.",
    Lines: "Give every line with its box: [left, top, right, bottom], shares 0 to 1.",
    Marked: "Write headings, lists and tables as Markdown.",
    Rows: "Give it as rows of cells; text beside a table is a row of its own.",
    Blocks: "Give every block with its box: [left, top, right, bottom], shares 0 to 1. Write a "
    "table as a Markdown table.",
}


class OcrResult(Result):
    """The text of all pages together and of each page."""

    text: Annotated[str, Field(description="All of it, with pages separated by a blank line.")]
    lines: Annotated[list[LineOut], Field(description="In reading order.")]
    tables: Annotated[list[PagedTable], Field(description="The tables of all pages.")]
    pages: list[PageOut]


def questions(
    parameters: OcrParameters, shots: int, _able: Capabilities
) -> Sequence[Question[Answer]]:
    """Return one question for each picture, page or tile."""
    if parameters.output is not None and parameters.layout != "plain":
        raise TaskParameterError("output", "give either output or layout, not both")
    form: Model[Answer] = Model(parameters.form)
    hint = f"\nThe text is in: {fenced('hint', parameters.hint)}" if parameters.hint else ""
    text = prompt("ocr").filled(layout=WISHES[parameters.form], hint=hint)
    return [Question(text, form, (shot,)) for shot in range(shots)]


def conclude(parameters: OcrParameters, findings: Sequence[Finding[Answer]]) -> OcrResult:
    """Return the text of all pages, with the tiles of a page joined without duplicates."""
    read = [ReadPage.from_findings(page, parameters.form) for page in by_page(findings)]
    pages = [page.out() for page in read]
    return OcrResult(
        text="\n\n".join(page.text for page in pages if page.text),
        lines=[line for page in read for line in page.lines()],
        tables=[table for page in read for table in page.paged_tables()],
        pages=pages,
    )


def claims(result: OcrResult) -> Iterator[Claim]:
    """Yield claims for each line, for the cells of tables, and for each page's parts."""
    for index, line in enumerate(result.lines):
        if line.text.strip("|-: "):
            path, own = ("lines", index, "text"), frozenset([line.page])
            yield Claim(path, line.text, own, whole_line=True)
    for index, table in enumerate(result.tables):
        yield from _cells(table, ("tables", index), frozenset([table.page]))
    for index, page in enumerate(result.pages):
        part, own = ("pages", index), frozenset([page.page])
        for place, block in enumerate(page.blocks):
            if block.text.strip():
                yield Claim((*part, "blocks", place, "text"), block.text, own, part=part)
        for place, of_page in enumerate(page.tables):
            yield from _cells(of_page, (*part, "tables", place), own, part)


def _cells(table: TableOut, path: Path, pages: frozenset[int], part: Path = ()) -> Iterator[Claim]:
    # Lines and blocks repeat the same words, so each has a search of its own.
    own = part or path
    for below, cell in leaves(table.rows):
        yield Claim((*path, "rows", *below), cell, pages, part=own)


def _cautions(parameters: OcrParameters, result: OcrResult) -> Iterator[AnswerWarning]:
    if parameters.form in (Lines, Blocks):
        yield BOXES_UNTRAINED
    if result.tables:
        yield TABLES_UNTRAINED


OCR = Task(
    name="ocr",
    summary="Read the text in pictures and documents",
    description="The text in reading order, with places or as tables on request. Takes pictures, "
    "PDFs and multi-page TIFFs; pages that fail are reported beside those that were read.",
    parameters=OcrParameters,
    result=OcrResult,
    questions=questions,
    conclude=conclude,
    claims=claims,
    capability=Capability(
        basis="DocVQA 88.4 (ANLS), of the base model TextVQA 73.1: questions, not "
        "whole transcriptions.",
        untrained=(
            "boxes",
            "tables",
            "handwriting",
        ),
    ),
    cautions=_cautions,
    composed=True,
    progress_text=text_of,
    images=Images(most=20, documents=True),
    sampling=LISTING,
    language="",
    example=Example(
        parameters={"layout": "plain"},
        result={
            "text": "TOTAL 42.10",
            "lines": [{"page": 1, "text": "TOTAL 42.10", "box": None}],
            "tables": [],
            "pages": [
                {
                    "page": 1,
                    "file": "images.0",
                    "number": 1,
                    "width": 600,
                    "height": 800,
                    "error": None,
                    "warnings": [],
                    "text": "TOTAL 42.10",
                    "markdown": None,
                    "blocks": [],
                    "tables": [],
                    "text_layer": None,
                    "model_text": None,
                }
            ],
        },
    ),
)
