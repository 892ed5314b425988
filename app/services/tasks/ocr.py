"""OCR: the text in pictures and on pages, in the layout asked for."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, model_validator

from app.domain.generation import Sampling
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer, ModelPart
from app.services.answers.instruction import with_schema
from app.services.answers.lenient import Listed, Words, notes_of
from app.services.tasks.boxes import BoxOut, OptionalBox, placed
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    DocumentParameters,
    Example,
    Finding,
    Images,
    Note,
    Question,
    Result,
    Task,
    UnansweredError,
    faults_of,
    notes,
)
from app.services.tasks.strips import Strip, joined

ItemT = TypeVar("ItemT")
Layout = Literal["plain", "lines", "markdown", "table"]


class OcrParameters(DocumentParameters):
    """How the text is wanted."""

    layout: Annotated[
        Layout,
        Field(
            description="`plain`: text. `lines`: each line with its place. `markdown`: headings, "
            "lists and tables marked up. `table`: rows of cells."
        ),
    ] = "plain"
    hint: Annotated[
        str | None,
        Field(max_length=100, description="Language or kind of the text: `German`, `handwriting`."),
    ] = None


class Plain(ModelAnswer):
    """Asked of the model."""

    aliases: ClassVar[dict[str, str]] = {"content": "text", "ocrtext": "text", "lines": "text"}
    prose: ClassVar[frozenset[str]] = frozenset({"text"})
    spoken: ClassVar[tuple[str, ...]] = ("text",)

    text: Annotated[Words, Field(description="all text, a line break for each line")]


class Marked(ModelAnswer):
    """Asked of the model."""

    aliases: ClassVar[dict[str, str]] = {"text": "markdown", "content": "markdown"}
    prose: ClassVar[frozenset[str]] = frozenset({"markdown"})
    spoken: ClassVar[tuple[str, ...]] = ("markdown",)

    markdown: Annotated[Words, Field(description="all text as Markdown, tables as tables")]


class Line(ModelPart):
    """One line."""

    aliases: ClassVar[dict[str, str]] = {
        "textcontent": "text", "content": "text", "line": "text", "linetext": "text",
        "bbox": "box", "bbox2d": "box", "boundingbox": "box", "coordinates": "box",
    }  # fmt: skip

    text: Words
    box: OptionalBox = None

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, value: object) -> object:
        return {"text": value} if isinstance(value, str) else value


def _by_line(value: object) -> object:
    return value.splitlines() if isinstance(value, str) else value


class Lines(ModelAnswer):
    """Asked of the model."""

    aliases: ClassVar[dict[str, str]] = {"text": "lines"}
    spoken: ClassVar[tuple[str, ...]] = ("all_text",)

    lines: Annotated[Listed[Line], Field(description="in reading order"), BeforeValidator(_by_line)]

    @property
    def all_text(self) -> str:
        """The lines one below the other."""
        return "\n".join(line.text for line in self.lines)


_RULE = re.compile(r"[\s|:-]*")
"""A line of a table in Markdown that holds no cells."""


def _cells(line: str) -> list[str]:
    mark = "\t" if "\t" in line else "|"
    return [cell.strip() for cell in line.strip().strip("|").split(mark)]


def _cells_alone(row: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the cells of ``{"cells": [...]}``."""
    if isinstance(row, dict) and len(row) == 1:
        (cells,) = row.values()
        return cells if isinstance(cells, list) else row
    return row


def _tabled(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any JSON value
    """Return rows of equal length: objects become a header and rows, short rows are filled up."""
    if isinstance(value, str):
        value = [_cells(line) for line in value.splitlines() if not _RULE.fullmatch(line)]
    if not isinstance(value, list):
        return value
    rows = [_cells_alone(row) for row in value]
    if rows and all(isinstance(row, dict) for row in rows):
        header = list(dict.fromkeys(key for row in rows for key in row))
        rows = [header, *([row.get(key) for key in header] for row in rows)]
    widths = [len(row) for row in rows if isinstance(row, list)]
    widest = max(widths, default=0)
    if any(width != widest for width in widths):
        notes_of(info).say(
            "rows_padded",
            f"Rows of the table have {min(widths)} to {widest} cells; short ones are "
            "filled up with empty cells at their end.",
        )
    return [[*row, *[""] * (widest - len(row))] if isinstance(row, list) else row for row in rows]


class Rows(ModelAnswer):
    """Asked of the model."""

    aliases: ClassVar[dict[str, str]] = {"table": "rows", "data": "rows"}

    rows: Annotated[
        Listed[Listed[Words]],
        Field(description="each row of the table, the header first"),
        BeforeValidator(_tabled),
    ]

    @model_validator(mode="before")
    @classmethod
    def _header(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Put a header that stands beside the rows before them."""
        if not isinstance(value, dict) or not isinstance(rows := value.get("rows"), list):
            return value
        names = (name for name in ("header", "headers", "columns") if value.get(name))
        header = value.get(next(names, ""))
        lists = rows and all(isinstance(row, list) for row in rows)
        return {**value, "rows": [header, *rows]} if isinstance(header, list) and lists else value


Answer = Plain | Marked | Lines | Rows
FORMS: dict[Layout, tuple[type[Answer], str]] = {
    "plain": (Plain, "Keep the line breaks."),
    "lines": (Lines, "Give every line with its box: [left, top, right, bottom], shares 0 to 1."),
    "markdown": (Marked, "Write headings, lists and tables as Markdown."),
    "table": (Rows, "Give it as rows of cells; text beside a table is a row of its own."),
}


class LineOut(BaseModel):
    """One line at its place."""

    page: int
    text: str
    box: Annotated[
        BoxOut | None, Field(description="On the page or the picture; null where none was told.")
    ]


class TableOut(BaseModel):
    """Rows of cells."""

    page: int
    rows: list[list[str]]


class PageOut(BaseModel):
    """One page or picture."""

    page: Annotated[int, Field(description="From 1; of several pictures, their position.")]
    text: str | None
    error: Annotated[str | None, Field(description="Why it could not be read, else null.")]
    warnings: Annotated[
        list[Note], Field(description="About this page: `answer_cut_off`, `repetition`.")
    ]


class OcrResult(Result):
    """The text."""

    text: Annotated[str, Field(description="All of it; pages parted by a blank line.")]
    lines: Annotated[list[LineOut], Field(description="In reading order.")]
    tables: Annotated[list[TableOut], Field(description="With layout `table`.")]
    pages: list[PageOut]


def questions(parameters: OcrParameters, shots: int) -> Sequence[Question[Answer]]:
    """Ask once for each picture, page or strip."""
    model, layout = FORMS[parameters.layout]
    form: Model[Answer] = Model(model)
    hint = f"\nThe text is in: {fenced('hint', parameters.hint)}" if parameters.hint else ""
    text = with_schema(prompt("ocr").filled(layout=layout, hint=hint), form.schema)
    return [Question(text, form, (shot,)) for shot in range(shots)]


def conclude(_: OcrParameters, findings: Sequence[Finding[Answer]]) -> OcrResult:
    """Return the text of all pages; strips of one page are joined without doubled lines."""
    by_page: dict[int, list[Finding[Answer]]] = {}
    for finding in findings:
        by_page.setdefault(finding.page, []).append(finding)
    if all(finding.answer is None for finding in findings):
        raise UnansweredError(faults_of(findings))
    pages = [_page(page, found) for page, found in by_page.items()]
    return OcrResult(
        text="\n\n".join(page.text for page in pages if page.text),
        lines=[line for page, found in by_page.items() for line in _lines(page, found)],
        tables=[
            TableOut(page=page, rows=rows)
            for page, found in by_page.items()
            if (rows := _rows(found))
        ],
        pages=pages,
    )


def _page(page: int, found: Sequence[Finding[Answer]]) -> PageOut:
    read = [finding for finding in found if finding.answer is not None]
    faults = [finding.fault or "there is no answer" for finding in found if finding.answer is None]
    return PageOut(
        page=page,
        text="\n".join(joined(_strips(read, _text_lines))) if read else None,
        error="; ".join(faults) or None,
        warnings=notes(found),
    )


def _strips(
    found: Sequence[Finding[Answer]], lines: Callable[[Finding[Answer]], Sequence[ItemT]]
) -> list[Strip[ItemT]]:
    """Return what each strip of a page gives, with how much of it the one before shows too."""
    bottoms = [0.0, *(_span(finding)[1] for finding in found)]
    return [
        Strip(lines(finding), _shared(bottom, *_span(finding)))
        for bottom, finding in zip(bottoms, found, strict=False)
    ]


def _span(finding: Finding[Answer]) -> tuple[float, float]:
    if finding.view is None:
        return 0.0, 0.0
    _, top, _, height = finding.view.region
    return top, top + height


def _shared(before: float, top: float, bottom: float) -> float:
    return max(0.0, before - top) / (bottom - top) if bottom > top else 0.0


def _text_lines(finding: Finding[Answer]) -> list[str]:
    return _text(finding.answer).splitlines() if finding.answer else []


def _text(answer: Answer) -> str:
    match answer:
        case Plain():
            return answer.text
        case Marked():
            return answer.markdown
        case Lines():
            return "\n".join(line.text for line in answer.lines)
        case Rows():
            return "\n".join("\t".join(row) for row in answer.rows)


def _lines(page: int, found: Sequence[Finding[Answer]]) -> list[LineOut]:
    strips = _strips(found, lambda finding: list(_strip(page, finding)))
    return joined(strips, key=lambda line: line.text)


def _strip(page: int, finding: Finding[Answer]) -> Iterator[LineOut]:
    if isinstance(finding.answer, Lines):
        for line in finding.answer.lines:
            box = placed(line.box, finding.view) if line.box and finding.view else None
            yield LineOut(page=page, text=line.text, box=box)
    elif finding.answer is not None:
        for text in _text(finding.answer).splitlines():
            if text.strip():
                yield LineOut(page=page, text=text, box=None)


def _rows(found: Sequence[Finding[Answer]]) -> list[list[str]]:
    tables = [finding for finding in found if isinstance(finding.answer, Rows)]
    return joined(_strips(tables, _table_rows), key="\t".join)


def _table_rows(finding: Finding[Answer]) -> list[list[str]]:
    return finding.answer.rows if isinstance(finding.answer, Rows) else []


OCR = Task(
    name="ocr",
    summary="Read the text in pictures and documents",
    description="The text in reading order, with places or as tables on request. Takes pictures, "
    "PDFs and multi-page TIFFs; pages that fail are reported beside those that were read.",
    parameters=OcrParameters,
    result=OcrResult,
    questions=questions,
    conclude=conclude,
    images=Images(most=20, documents=True),
    sampling=Sampling(temperature=0.0, max_gen_len=2048),
    example=Example(
        parameters={"layout": "plain"},
        result={
            "text": "TOTAL 42.10",
            "lines": [{"page": 1, "text": "TOTAL 42.10", "box": None}],
            "tables": [],
            "pages": [{"page": 1, "text": "TOTAL 42.10", "error": None, "warnings": []}],
        },
    ),
)
