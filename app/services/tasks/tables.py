"""Converts tables from Markdown to rows of cells, and from rows to HTML."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby, zip_longest
from operator import itemgetter

Table = list[list[str]]

_RULE = re.compile(r"\s*+\|?\s*+:?-++:?\s*+(?:\|\s*+:?-++:?\s*+)*+\|?\s*+")
_LONG_RULE = re.compile(r"\|?\s*+:?-{3,}+.*")
_BAR = re.compile(r"(?<!\\)\|")
_BREAK = re.compile(r"\s*<br\s*/?>\s*", re.IGNORECASE)


def in_markdown(text: str) -> list[Table]:
    """Return the tables in a Markdown text as rows, without the delimiter rows."""
    runs = groupby(_marked(text.splitlines()), key=itemgetter(0))
    return [
        rows
        for is_table, lines in runs
        if is_table and (rows := _rows([line for _, line in lines]))
    ]


def _marked(lines: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Yield whether each line belongs to a table, and the line.

    Lines of a table without outer bars have one inside, and a delimiter row follows the first.
    """
    inside = False
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        barred = _BAR.search(line) is not None
        inside = barred and (inside or (_is_rule(following) and "|" in following))
        yield inside or line.lstrip().startswith("|"), line


def _rows(lines: Sequence[str]) -> Table:
    # Further down, a row of single dashes is a row of cells without values.
    return [
        _cells(line)
        for place, line in enumerate(lines)
        if not _is_rule(line) or (place > 1 and not _LONG_RULE.match(line.strip()))
    ]


def _is_rule(line: str) -> bool:
    return _RULE.fullmatch(line) is not None


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [_BREAK.sub("\n", cell.strip().replace("\\|", "|")) for cell in _BAR.split(inner)]


def as_html(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as HTML, with its first row as the header."""
    lines = (
        "<tr>" + "".join(f"<{tag}>{_lines(cell)}</{tag}>" for cell in row) + "</tr>"
        for row, tag in ((row, "td" if number else "th") for number, row in enumerate(rows))
    )
    return f"<table>{''.join(lines)}</table>"


def _lines(cell: str) -> str:
    return escape(cell).replace("\n", "<br>")
