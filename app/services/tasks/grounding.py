"""The grounding task: locates things on the original picture."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer, ModelPart
from app.services.answers.lenient import Listed, Text, trimmed
from app.services.answers.text.words import NO_NUMBER, nothing
from app.services.tasks.boxes import BoxOut, ModelBox, Overlay, drawn, no_place, placed, shared
from app.services.tasks.capability import BOXES_UNTRAINED, Capability
from app.services.tasks.pages import PageFacts, PageReport, by_page, facts, page_size, report
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
    UnansweredError,
)

MAX_OBJECTS = 60
SAME = 0.5
"""Minimum intersection over union of two boxes with one label that show the same thing."""

Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class GroundingParameters(DocumentParameters):
    """The phrases to locate."""

    phrases: Annotated[
        list[Phrase],
        Field(max_length=20, description="Things or words to locate; none means everything."),
    ] = []  # noqa: RUF012 - Pydantic copies it
    overlay: Overlay = "none"


class Located(ModelPart):
    """One located phrase."""

    aliases: ClassVar[dict[str, str]] = {
        "name": "label", "phrase": "label", "object": "label", "textcontent": "label",
        "bbox": "box", "bbox2d": "box", "boundingbox": "box", "coordinates": "box",
    }  # fmt: skip

    label: Annotated[Text, Field(min_length=1, description="the phrase, as it was given")]
    box: ModelBox


def _placed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the entries that have a place."""
    if isinstance(value, str) and nothing(value, NO_NUMBER):
        return []
    if isinstance(value, dict) and not {"label", "box"} & set(value):
        value = [{"label": label, "box": box} for label, box in value.items()]
    if not isinstance(value, list):
        return value
    return [entry for entry in value if not (isinstance(entry, dict) and _nowhere(entry))]


def _nowhere(entry: dict[str, Any]) -> bool:
    boxes = [box for key, box in Located.spelt(entry).items() if key == "box"]
    return bool(boxes) and no_place(boxes[0])


class GroundingAnswer(ModelAnswer):
    """The form of the model's answer."""

    objects: Annotated[
        Listed[Located],
        Field(max_length=MAX_OBJECTS),
        trimmed(MAX_OBJECTS, "objects"),
        BeforeValidator(_placed),
    ]


class LocatedOut(PageFacts):
    """A phrase and its place."""

    label: str
    box: BoxOut


class GroundingPage(PageReport):
    """The places of phrases on one page."""

    not_found: Annotated[list[str], Field(description="Phrases without a place on it.")]
    overlay: Annotated[str | None, Field(description="The requested layer for this page.")]


class GroundingResult(Result):
    """Phrases and their places."""

    objects: list[LocatedOut]
    not_found: Annotated[list[str], Field(description="Phrases without a place on any page.")]
    width: Annotated[
        int,
        Field(
            description="Of the original as a viewer shows it, in pixels, or in points for a PDF; "
            "of several pages, the first that could be read."
        ),
    ]
    height: int
    overlay: Annotated[
        str | None,
        Field(description="The requested layer for that page: SVG text, or a PNG in a data URI."),
    ]
    pages: list[GroundingPage]


def questions(
    parameters: GroundingParameters, shots: int, _able: Capabilities
) -> Sequence[Question[GroundingAnswer]]:
    """Return one question for each picture, page or tile."""
    form = Model(GroundingAnswer)
    phrases = " ".join(fenced("phrase", phrase) for phrase in parameters.phrases)
    text = prompt("grounding").filled(what=phrases or "every distinct thing and every line of text")
    language = "" if parameters.phrases else "Name things in $language; copy words as they are."
    return [Question(text, form, (shot,), language=language) for shot in range(shots)]


Found = Sequence[Finding[GroundingAnswer]]


def conclude(parameters: GroundingParameters, findings: Found) -> GroundingResult:
    """Return the boxes on the originals."""
    if not any(finding.answer is not None and finding.view for finding in findings):
        by_page(findings)
        raise UnansweredError(("there is no picture to place a box on",))
    objects, pages = [], []
    for page in by_page(findings):
        places = _places(page, parameters.phrases)
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


def _places(page: Found, phrases: Sequence[str]) -> list[tuple[str, BoxOut]]:
    """Return the labels and boxes on a page, without duplicates from tiles."""
    places: list[tuple[str, BoxOut]] = []
    for finding in page:
        if finding.answer is None or finding.view is None:
            continue
        own = [
            (_phrase(thing.label, phrases), placed(thing.box, finding.view))
            for thing in finding.answer.objects
        ]
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
    return [p for p in parameters.phrases if not any(_names(p, label) for label in labels)]


_ARTICLES = frozenset(
    [
        "a",
        "an",
        "the",
        "der",
        "die",
        "das",
        "ein",
        "eine",
        "el",
        "la",
        "los",
        "las",
        "un",
        "una",
        "le",
        "les",
        "il",
        "lo",
        "o",
        "os",
        "as",
    ]
)


def _words(text: str) -> frozenset[str]:
    """Return the words of a phrase without articles and plural endings."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(
        (word[:-2] if re.search(r"(?:s|x|z|ch|sh)es$", word) else word.removesuffix("s"))
        if len(word) > 3 and not word.endswith("ss")
        else word
        for word in words
        if word not in _ARTICLES
    ) or frozenset(words)


def _names(phrase: str, label: str) -> bool:
    """Return whether ``label`` is the phrase, possibly with more words: ``black cat`` is a cat."""
    return phrase.strip().casefold() == label.strip().casefold() or _words(phrase) <= _words(label)


def _phrase(label: str, phrases: Sequence[str]) -> str:
    """Return the phrase of which ``label`` is another spelling, else ``label``."""
    alike = [phrase for phrase in phrases if _words(phrase) == _words(label)]
    return alike[0] if len(alike) == 1 and label not in phrases else label


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
    sampling=LISTING,
    capability=Capability(
        basis="No measurement; Meta names it as an additional use case.",
        untrained=(
            "boxes",
            "saying that something is not there",
        ),
    ),
    cautions=lambda *_: (BOXES_UNTRAINED,),
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
                    "warnings": [],
                    "not_found": [],
                    "overlay": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 64" />',
                }
            ],
        },
    ),
)
