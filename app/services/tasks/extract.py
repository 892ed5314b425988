"""The extract task: reads the fields of a caller's schema off a form, receipt or similar."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import reduce
from typing import Annotated, Any

import orjson
from pydantic import BeforeValidator, Field

from app.domain.image import AnswerWarning
from app.domain.model import Capabilities
from app.services.answers.schema_form import CallerForm, Filled, missing, validator
from app.services.answers.schemas.schema import Schema, SchemaError
from app.services.evidence.claim import Claim, Path, leaves
from app.services.tasks.capability import LINE_ITEMS_UNTRAINED, Capability
from app.services.tasks.field_merge import PagedFields, merged
from app.services.tasks.pages import Conflict, PageFacts, PageReport, by_page, facts, report
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

MAX_SCHEMA_BYTES = 16 * 1024
"""Maximum size of the schema in bytes, about 5,000 tokens of the prompt."""


def _from_text(value: object) -> object:
    # A multipart form can only carry an object as text.
    if not isinstance(value, str):
        return value
    if len(value) > MAX_SCHEMA_BYTES:
        raise ValueError(f"a schema has at most {MAX_SCHEMA_BYTES} bytes")
    try:
        return orjson.loads(value)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error


class ExtractParameters(DocumentParameters, VerifiedParameters):
    """The schema of the fields."""

    json_schema: Annotated[
        dict[str, Any],
        BeforeValidator(_from_text),
        Field(
            alias="schema",
            description="JSON Schema (draft 2020-12) of an object: the fields to fill. References "
            "to its own `$defs` are resolved, others refused. Also taken as JSON text.",
        ),
    ]


class ExtractPage(PageReport):
    """The fields of one page."""

    fields: Annotated[
        dict[str, Any] | None, Field(description="Null if the page could not be read.")
    ]
    not_found: list[str]


class ExtractResult(Result):
    """The fields of all pages together and of each page."""

    fields: Annotated[
        dict[str, Any],
        Field(
            description="Valid under the schema, except that any property may be null if the "
            "picture does not show it."
        ),
    ]
    not_found: Annotated[
        list[str], Field(description="Paths of the properties that are null: `items.0.price`.")
    ]
    conflicts: Annotated[
        list[Conflict], Field(description="Where pages disagree; lists are joined over pages.")
    ]
    pages: Annotated[list[ExtractPage], Field(description="The fields of each page or picture.")]


def questions(
    parameters: ExtractParameters, shots: int, _able: Capabilities
) -> Sequence[Question[Filled]]:
    """Return one question with the caller's schema for each picture, page or tile."""
    try:
        if len(orjson.dumps(parameters.json_schema)) > MAX_SCHEMA_BYTES:
            raise SchemaError(f"has more than {MAX_SCHEMA_BYTES:,} bytes")
        form = CallerForm(parameters.json_schema)
    except (SchemaError, TypeError, RecursionError) as error:
        raise TaskParameterError("schema", str(error)) from error
    text = prompt("extract").filled()
    return [Question(text, form, (shot,)) for shot in range(shots)]


def conclude(parameters: ExtractParameters, findings: Sequence[Finding[Filled]]) -> ExtractResult:
    """Return the fields of all pages as one object, and those of each page."""
    schema = CallerForm(parameters.json_schema).schema
    pages, conflicts, page_fields = [], [], []
    for page in by_page(findings):
        answers = [(PageFacts(**facts(page)), f.answer.fields) for f in page if f.answer]
        fields, differing = merged(answers, once=True) if answers else (None, [])
        conflicts += differing
        page_fields += [(PageFacts(**facts(page)), fields)] if fields is not None else []
        not_found = list(missing(fields, schema)) if fields is not None else []
        pages.append(ExtractPage(**report(page), fields=fields, not_found=not_found))
    together, differing = _valid(page_fields, schema)
    return ExtractResult(
        fields=together,
        not_found=list(missing(together, schema)),
        conflicts=[*conflicts, *differing],
        pages=pages,
    )


def _valid(
    page_fields: Sequence[PagedFields], schema: Schema
) -> tuple[dict[str, Any], list[Conflict]]:
    """Return the merged fields of all pages, or of fewer pages if the schema requires it."""
    check = validator(schema)
    for lists_add_up in (True, False):
        together, conflicts = merged(page_fields, lists_add_up=lists_add_up)
        if check.is_valid(together):
            return together, conflicts
    # Falls back to the page with the most fields.
    least = min(page_fields, key=lambda page: len(list(missing(page[1], schema))))
    return least[1], conflicts


def claims(result: ExtractResult) -> Iterator[Claim]:
    """Yield claims for the merged fields, with the pages that have them, and for each page."""
    page_values = [(page.page, dict(leaves(page.fields))) for page in result.pages if page.fields]
    for path, value in leaves(result.fields):
        pages = frozenset(page for page, fields in page_values if value in fields.values())
        yield Claim(("fields", *path), value, pages)
    for index, page in enumerate(result.pages):
        part, own = ("pages", index), frozenset([page.page])
        for path, value in leaves(page.fields):
            yield Claim((*part, "fields", *path), value, own, part=part)


def mended(
    parameters: ExtractParameters, first: Filled, second: Filled, doubtful: Mapping[Path, bool]
) -> Filled:
    """Return the first answer with doubtful fields replaced by supported ones of the second.

    Fields of a list are replaced only if the second answer agrees with all of the list that was
    not doubtful, since its entries might otherwise be different ones. Returns the first answer if
    the combination is invalid under the schema.
    """
    fields: dict[str, Any] = deepcopy(first.fields)
    again = dict(leaves(second.fields))
    kept = {path: value for path, value in leaves(fields) if ("fields", *path) not in doubtful}
    for (_, *path), supported in doubtful.items():
        if supported and _alike(_list(path), first.fields, second.fields, kept, again):
            _at(fields, path[:-1])[path[-1]] = again[tuple(path)]
    schema = CallerForm(parameters.json_schema).schema
    return Filled(fields, first.not_found) if validator(schema).is_valid(fields) else first


def _list(path: Sequence[str | int]) -> Path | None:
    """Return the path of the outermost list that contains a value, or None."""
    places = [place for place, part in enumerate(path) if isinstance(part, int)]
    return tuple(path[: places[0]]) if places else None


def _alike(
    path: Path | None,
    first: dict[str, Any],
    second: dict[str, Any],
    kept: Mapping[Path, Any],
    again: Mapping[Path, Any],
) -> bool:
    """Return whether two answers have the same list at ``path``, apart from doubtful fields."""
    if path is None:
        return True
    own = {place: value for place, value in kept.items() if place[: len(path)] == path}
    same = all(again.get(place) == value for place, value in own.items())
    return same and len(_at(first, path)) == len(_at(second, path))


def _at(value: Any, path: Sequence[str | int]) -> Any:  # noqa: ANN401 - any JSON value
    return reduce(lambda place, part: place[part], path, value)


def _cautions(parameters: ExtractParameters, _: ExtractResult) -> Sequence[AnswerWarning]:
    schema = CallerForm(parameters.json_schema).schema
    return (LINE_ITEMS_UNTRAINED,) if _lists_objects(schema) else ()


def _lists_objects(part: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(part, list):
        return any(map(_lists_objects, part))
    if not isinstance(part, dict):
        return False
    items = part.get("items")
    listed = isinstance(items, dict) and bool(items.get("properties"))
    return listed or any(map(_lists_objects, part.values()))


EXTRACT = Task(
    name="extract",
    summary="Fill a JSON Schema from a document",
    description="Reads the fields that your schema describes off a form, receipt, invoice or card. "
    "What is missing is null and listed. Takes PDFs and several pages: their fields are merged, "
    "and also listed page by page; one call for each page.",
    parameters=ExtractParameters,
    result=ExtractResult,
    questions=questions,
    conclude=conclude,
    sampling=LISTING,
    capability=Capability(
        basis="DocVQA 88.4 (ANLS): questions about pages, not fields of forms.",
        untrained=(
            "line items",
            "dense tables",
        ),
    ),
    cautions=_cautions,
    claims=claims,
    mended=mended,
    images=Images(most=20, documents=True),
    language="",
    example=Example(
        parameters={
            "schema": {
                "type": "object",
                "properties": {"vendor": {"type": "string"}, "total": {"type": "number"}},
            }
        },
        result={
            "fields": {"vendor": None, "total": 42.1},
            "not_found": ["vendor"],
            "conflicts": [],
            "pages": [
                {
                    "page": 1,
                    "file": "images.0",
                    "number": 1,
                    "width": 600,
                    "height": 800,
                    "error": None,
                    "warnings": [],
                    "fields": {"vendor": None, "total": 42.1},
                    "not_found": ["vendor"],
                }
            ],
        },
    ),
)
