"""Grounding: where things are, on the original picture."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from app.services.answers.fence import fenced
from app.services.answers.form import Model
from app.services.answers.lenient import Listed, Text
from app.services.tasks.boxes import BoxOut, ModelBox, Overlay, drawn, placed, shared
from app.services.tasks.pages import PageFacts, PageReport, by_page, facts, page_size, report
from app.services.tasks.prompt import prompt, with_schema
from app.services.tasks.spec import (
    DocumentParameters,
    Example,
    Finding,
    Images,
    Question,
    Result,
    Task,
    UnansweredError,
)

MAX_OBJECTS = 60
SAME = 0.5
"""Share that two boxes of one label have in common from which they are one thing's."""

Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class GroundingParameters(DocumentParameters):
    """What to locate."""

    phrases: Annotated[
        list[Phrase],
        Field(max_length=20, description="Things or words to locate; none means everything."),
    ] = []  # noqa: RUF012 - Pydantic copies it
    overlay: Overlay = "none"


class Located(BaseModel):
    """One place."""

    label: Annotated[Text, Field(min_length=1, description="the phrase, as it was given")]
    box: ModelBox


class GroundingAnswer(BaseModel):
    """Asked of the model."""

    objects: Annotated[Listed[Located], Field(max_length=MAX_OBJECTS)]


class LocatedOut(PageFacts):
    """Something at its place."""

    label: str
    box: BoxOut


class GroundingPage(PageReport):
    """Where phrases are on one page."""

    not_found: Annotated[list[str], Field(description="Phrases without a place on it.")]
    overlay: Annotated[str | None, Field(description="The layer asked for, of this page.")]


class GroundingResult(Result):
    """What is where."""

    objects: list[LocatedOut]
    not_found: Annotated[list[str], Field(description="Phrases without a place on any page.")]
    width: Annotated[
        int,
        Field(
            description="Of the original as a viewer shows it, pixels, for a PDF points; of "
            "several pages the first that could be read."
        ),
    ]
    height: int
    overlay: Annotated[
        str | None,
        Field(description="The layer asked for: SVG text, or a PNG in a data URI; of that page."),
    ]
    pages: list[GroundingPage]


def questions(parameters: GroundingParameters, shots: int) -> Sequence[Question[GroundingAnswer]]:
    """Ask once for each picture, page or tile."""
    form = Model(GroundingAnswer)
    phrases = " ".join(fenced("phrase", phrase) for phrase in parameters.phrases)
    text = prompt("grounding").filled(what=phrases or "every distinct thing and every line of text")
    text = with_schema(text, form.schema)
    return [Question(text, form, (shot,)) for shot in range(shots)]


Found = Sequence[Finding[GroundingAnswer]]


def conclude(parameters: GroundingParameters, findings: Found) -> GroundingResult:
    """Return the boxes on the originals."""
    if not any(finding.answer is not None and finding.view for finding in findings):
        by_page(findings)
        raise UnansweredError(("there is no picture to place a box on",))
    objects, pages = [], []
    for page in by_page(findings):
        places = _places(page)
        objects += [LocatedOut(**facts(page), label=label, box=box) for label, box in places]
        pages.append(_page(parameters, page, places))
    first = next(page for page in pages if page.width is not None and page.height is not None)
    return GroundingResult(
        objects=objects,
        not_found=_not_found(parameters, {thing.label for thing in objects}),
        width=first.width or 0,
        height=first.height or 0,
        overlay=first.overlay,
        pages=pages,
    )


def _places(page: Found) -> list[tuple[str, BoxOut]]:
    """Return what is on a page, once where two tiles show it."""
    places: list[tuple[str, BoxOut]] = []
    for finding in page:
        if finding.answer is None or finding.view is None:
            continue
        own = [(thing.label, placed(thing.box, finding.view)) for thing in finding.answer.objects]
        places += [place for place in own if not any(_twins(place, known) for known in places)]
    return places


def _twins(one: tuple[str, BoxOut], other: tuple[str, BoxOut]) -> bool:
    return one[0].casefold() == other[0].casefold() and shared(one[1], other[1]) > SAME


def _page(
    parameters: GroundingParameters, page: Found, places: list[tuple[str, BoxOut]]
) -> GroundingPage:
    size = page_size(page)
    return GroundingPage(
        **report(page),
        not_found=_not_found(parameters, {label for label, _ in places}),
        overlay=drawn(parameters.overlay, places, size) if size else None,
    )


def _not_found(parameters: GroundingParameters, labels: set[str]) -> list[str]:
    known = {label.casefold() for label in labels}
    return [phrase for phrase in parameters.phrases if phrase.strip().casefold() not in known]


GROUNDING = Task(
    name="grounding",
    summary="Locate things in a picture",
    description="Boxes on the original picture as a viewer shows it, whatever was turned and "
    "shrunk for the model; with a layer to lay over it on request. Llama 3.2 Vision was not "
    "trained to point: treat its boxes as hints. Takes PDFs and several pages, too.",
    parameters=GroundingParameters,
    result=GroundingResult,
    questions=questions,
    conclude=conclude,
    images=Images(most=20, documents=True),
    example=Example(
        parameters={"phrases": ["cat"], "overlay": "svg"},
        result={
            "objects": [
                {
                    "page": 1,
                    "file": "images.0",
                    "number": 1,
                    "label": "cat",
                    "box": {
                        "left": 0.25,
                        "top": 0.0,
                        "right": 1.0,
                        "bottom": 1.0,
                        "pixels": {"left": 24, "top": 0, "right": 96, "bottom": 64},
                    },
                }
            ],
            "not_found": [],
            "width": 96,
            "height": 64,
            "overlay": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 64" />',
            "pages": [
                {
                    "page": 1,
                    "file": "images.0",
                    "number": 1,
                    "width": 96,
                    "height": 64,
                    "error": None,
                    "not_found": [],
                    "overlay": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 64" />',
                }
            ],
        },
    ),
)
