"""The forms of the model's answers about a page's text."""

import re
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from app.services.answers.form import ModelAnswer, ModelPart
from app.services.answers.lenient import Listed, Words, lone_text, notes_of
from app.services.tasks.boxes import OptionalBox

Kind = Literal[
    "title", "heading", "paragraph", "list", "table", "header", "footer", "caption", "figure",
    "other",
]  # fmt: skip


def _kind(value: object) -> object:
    word = value.strip().lower() if isinstance(value, str) else value
    if word == "text":
        return "paragraph"
    return word if word in get_args(Kind) else "other"


_NO_TEXT = re.compile(
    r"(?:there is |i see |\()?no (?:visible |readable |legible )?text (?:is |was )?"
    r"(?:visible|found|detected|present|available|in|on)\b[^.\n]{0,40}[.)]?",
    re.IGNORECASE,
)


def _below_each_other(value: object) -> object:
    """Convert lines given as objects to texts, and words for no text to nothing."""
    if isinstance(value, list):
        return [lone_text(item) for item in value]
    return "" if isinstance(value, str) and _NO_TEXT.fullmatch(value.strip()) else value


class Plain(ModelAnswer):
    """The form that the model fills."""

    aliases: ClassVar[dict[str, str]] = {"content": "text", "ocrtext": "text", "lines": "text"}
    prose: ClassVar[frozenset[str]] = frozenset({"text"})
    spoken: ClassVar[tuple[str, ...]] = ("text",)

    text: Annotated[
        Words,
        Field(description="all text, a line break for each line"),
        BeforeValidator(_below_each_other),
    ]


class Marked(ModelAnswer):
    """The form that the model fills."""

    aliases: ClassVar[dict[str, str]] = {"text": "markdown", "content": "markdown"}
    prose: ClassVar[frozenset[str]] = frozenset({"markdown"})
    spoken: ClassVar[tuple[str, ...]] = ("markdown",)

    markdown: Annotated[
        Words,
        Field(description="all text as Markdown, tables as tables"),
        BeforeValidator(_below_each_other),
    ]


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
        match value:
            case str() | None:
                return {"text": value}
            case [str() as text, list() as box]:
                return {"text": text, "box": box}
        return value


def _by_line(value: object) -> object:
    return value.splitlines() if isinstance(value, str) else value


class Lines(ModelAnswer):
    """The form that the model fills."""

    aliases: ClassVar[dict[str, str]] = {"text": "lines"}
    spoken: ClassVar[tuple[str, ...]] = ("all_text",)

    lines: Annotated[Listed[Line], Field(description="in reading order"), BeforeValidator(_by_line)]

    @property
    def all_text(self) -> str:
        """Return the lines joined by line breaks."""
        return "\n".join(line.text for line in self.lines)


_RULE = re.compile(r"[\s|:-]*")
"""Matches the delimiter row of a Markdown table."""


def _cells(line: str) -> list[str]:
    mark = "\t" if "\t" in line else "|"
    return [cell.strip() for cell in line.strip().strip("|").split(mark)]


def _cells_alone(row: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the cells of a row written as ``{"cells": [...]}`` or as ``a | b``."""
    if isinstance(row, str) and re.search(r"\s\|\s|\t", row):
        return _cells(row)
    if isinstance(row, dict) and len(row) == 1:
        (cells,) = row.values()
        return cells if isinstance(cells, list) else row
    return row


def _tabled(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any JSON value
    """Return rows of equal length; objects become a header and rows, short rows are padded."""
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
    """The form that the model fills."""

    aliases: ClassVar[dict[str, str]] = {"table": "rows", "data": "rows"}

    rows: Annotated[
        Listed[Listed[Words]],
        Field(description="each row of the table, the header first"),
        BeforeValidator(_tabled),
    ]

    @model_validator(mode="before")
    @classmethod
    def _header(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Insert a header that is given beside the rows as the first row."""
        if not isinstance(value, dict) or not isinstance(rows := value.get("rows"), list):
            return value
        names = (name for name in ("header", "headers", "columns") if value.get(name))
        header = value.get(next(names, ""))
        lists = rows and all(isinstance(row, list) for row in rows)
        return {**value, "rows": [header, *rows]} if isinstance(header, list) and lists else value


class Block(ModelPart):
    """One block."""

    aliases: ClassVar[dict[str, str]] = {
        "type": "kind", "content": "text", "markdown": "text", "bbox": "box", "boundingbox": "box",
    }  # fmt: skip

    kind: Annotated[Kind, BeforeValidator(_kind)]
    text: Annotated[Words, Field(description="a table as a Markdown table")]
    box: OptionalBox = None


class Blocks(ModelAnswer):
    """The form that the model fills."""

    spoken: ClassVar[tuple[str, ...]] = ("all_text",)

    blocks: Annotated[Listed[Block], Field(description="in reading order")]

    @property
    def all_text(self) -> str:
        """Return the blocks joined by blank lines."""
        return "\n".join(block.text for block in self.blocks)


Answer = Plain | Marked | Lines | Rows | Blocks
