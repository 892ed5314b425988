"""What the model is asked for about a page's text."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field

from app.services.answers.lenient import Listed, Text
from app.services.tasks.boxes import ModelBox

Kind = Literal[
    "title", "heading", "paragraph", "list", "table", "header", "footer", "caption", "figure",
    "other",
]  # fmt: skip


def _kind(value: object) -> object:
    word = value.strip().lower() if isinstance(value, str) else value
    if word == "text":
        return "paragraph"
    return word if word in get_args(Kind) else "other"


class Plain(BaseModel):
    """Asked of the model."""

    text: Annotated[Text, Field(description="all text, a line break for each line")]


class Marked(BaseModel):
    """Asked of the model."""

    markdown: Annotated[Text, Field(description="all text as Markdown, tables as tables")]


class Line(BaseModel):
    """One line."""

    text: Text
    box: ModelBox | None = None


class Lines(BaseModel):
    """Asked of the model."""

    lines: Annotated[Listed[Line], Field(description="in reading order")]


class Rows(BaseModel):
    """Asked of the model."""

    rows: Annotated[
        Listed[Listed[Text]], Field(description="each row of the table, the header first")
    ]


class Block(BaseModel):
    """One block."""

    kind: Annotated[Kind, BeforeValidator(_kind)]
    text: Annotated[Text, Field(description="a table as a Markdown table")]
    box: ModelBox | None = None


class Blocks(BaseModel):
    """Asked of the model."""

    blocks: Annotated[Listed[Block], Field(description="in reading order")]


Answer = Plain | Marked | Lines | Rows | Blocks
