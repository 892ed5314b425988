"""The page-by-page parts of results of tasks that read documents."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field

from app.services.deferred_model import DeferredModel
from app.services.geometry import Size
from app.services.tasks.spec import Finding, Note, UnansweredError, faults_of, notes

AnswerT = TypeVar("AnswerT")
ValueT = TypeVar("ValueT")


class PageFacts(DeferredModel):
    """The page or picture that a value comes from."""

    page: Annotated[
        int, Field(description="From 1, counted over all files; for pictures, their position.")
    ]
    file: Annotated[str, Field(description="Place of its file in the request: `images.0`.")]
    number: Annotated[int, Field(description="In its file, from 1.")]


class PageReport(PageFacts):
    """A page or picture, and whether it could be read."""

    width: Annotated[
        int | None, Field(description="Points for a PDF, else pixels; null if unknown.")
    ]
    height: int | None
    error: Annotated[str | None, Field(description="Why not all of it could be read, else null.")]
    warnings: Annotated[
        list[Note], Field(description="About this page: `answer_cut_off`, `repetition`.")
    ]


class PagedValue(PageFacts):
    """A value and the page that has it."""

    value: Any


class Conflict(DeferredModel):
    """A value on which pages disagree."""

    path: Annotated[str, Field(description="Where it is in the result: `items.0.price`.")]
    values: Annotated[
        list[PagedValue],
        Field(description="Each with a page that has it; the result has the most frequent."),
    ]


def by_page(findings: Sequence[Finding[AnswerT]]) -> list[list[Finding[AnswerT]]]:
    """Group the findings by page.

    Raises UnansweredError if there is neither an answer nor a text layer on any page.
    """
    if all(finding.answer is None and finding.origin.text is None for finding in findings):
        raise UnansweredError(faults_of(findings))
    pages: dict[int, list[Finding[AnswerT]]] = {}
    for finding in findings:
        pages.setdefault(finding.page, []).append(finding)
    return list(pages.values())


def facts(findings: Sequence[Finding[Any]]) -> dict[str, Any]:
    """Return the fields of `PageFacts` for the findings of one page."""
    first = findings[0]
    return {"page": first.page, "file": first.origin.file, "number": first.origin.number}


def report(findings: Sequence[Finding[Any]]) -> dict[str, Any]:
    """Return the fields of `PageReport` for the findings of one page."""
    size = page_size(findings)
    faults = (f.fault or "there is no answer" for f in findings if f.answer is None)
    return {
        **facts(findings),
        "width": size.width if size else None,
        "height": size.height if size else None,
        "error": "; ".join(dict.fromkeys(faults)) or None,
        "warnings": notes(findings),
    }


def page_size(findings: Sequence[Finding[Any]]) -> Size | None:
    """Return the size of the findings' page, or None if it is unknown."""
    sizes = (f.origin.size or (f.view.original if f.view else None) for f in findings)
    return next((size for size in sizes if size is not None), None)


def settled(
    path: str, paged_values: Sequence[tuple[PageFacts, ValueT]]
) -> tuple[ValueT, list[Conflict]]:
    """Return the most frequent value, the first of equally frequent ones, and the conflicts.

    Values that differ only in case and spaces count as the same, and so do 42 and 42.0.
    """
    values: dict[object, list[tuple[PageFacts, ValueT]]] = {}
    for where, value in paged_values:
        values.setdefault(_normal(value), []).append((where, value))
    most = max(values.values(), key=len)[0][1]
    if len(values) == 1:
        return most, []
    first = (same[0] for same in values.values())
    paged = [PagedValue(**dict(where), value=value) for where, value in first]
    return most, [Conflict(path=path, values=paged)]


def _normal(value: object) -> object:
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else repr(value)
