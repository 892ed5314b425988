"""Converts tables from Markdown to rows of cells, and from rows to HTML."""

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby

Table = list[list[str]]

_RULE = re.compile(r"\s*+\|?\s*+:?-++:?\s*+(?:\|\s*+:?-++:?\s*+)*+\|?\s*+")
_BAR = re.compile(r"(?<!\\)\|")


def in_markdown(text: str) -> list[Table]:
    """Return the tables in a Markdown text as rows, without the delimiter rows."""
    runs = groupby(text.splitlines(), key=lambda line: line.lstrip().startswith("|"))
    return [rows for is_table, lines in runs if is_table and (rows := _rows(list(lines)))]


def _rows(lines: Sequence[str]) -> Table:
    return [_cells(line) for line in lines if not _RULE.fullmatch(line)]


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in _BAR.split(inner)]


def as_html(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as HTML, with its first row as the header."""
    lines = (
        "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for row, tag in ((row, "td" if number else "th") for number, row in enumerate(rows))
    )
    return f"<table>{''.join(lines)}</table>"
