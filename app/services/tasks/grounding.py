"""Grounding: where things are, on the original picture."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from app.services.answers.fence import fenced
from app.services.answers.form import Model
from app.services.answers.lenient import Listed, Text
from app.services.tasks.boxes import BoxOut, ModelBox, Overlay, drawn, placed
from app.services.tasks.prompt import prompt, with_schema
from app.services.tasks.spec import (
    Example,
    Finding,
    Parameters,
    Question,
    Result,
    Task,
    UnansweredError,
    only,
)

MAX_OBJECTS = 60

Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class GroundingParameters(Parameters):
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


class LocatedOut(BaseModel):
    """Something at its place."""

    label: str
    box: BoxOut


class GroundingResult(Result):
    """What is where."""

    objects: list[LocatedOut]
    not_found: Annotated[list[str], Field(description="Phrases without a place.")]
    width: Annotated[int, Field(description="Of the original as a viewer shows it, pixels.")]
    height: Annotated[int, Field(description="Of the original as a viewer shows it, pixels.")]
    overlay: Annotated[
        str | None, Field(description="The layer asked for: SVG text, or a PNG in a data URI.")
    ]


def questions(parameters: GroundingParameters, _: int) -> Sequence[Question[GroundingAnswer]]:
    """Ask once."""
    form = Model(GroundingAnswer)
    phrases = " ".join(fenced("phrase", phrase) for phrase in parameters.phrases)
    text = prompt("grounding").filled(what=phrases or "every distinct thing and every line of text")
    return (Question(with_schema(text, form.schema), form),)


def conclude(
    parameters: GroundingParameters, findings: Sequence[Finding[GroundingAnswer]]
) -> GroundingResult:
    """Return the boxes on the original."""
    answer, view = only(findings), findings[0].view
    if view is None:
        raise UnansweredError(("there is no picture to place a box on",))
    places = [(found.label, placed(found.box, view)) for found in answer.objects]
    labels = {label.casefold() for label, _ in places}
    return GroundingResult(
        objects=[LocatedOut(label=label, box=box) for label, box in places],
        not_found=[p for p in parameters.phrases if p.strip().casefold() not in labels],
        width=view.original.width,
        height=view.original.height,
        overlay=drawn(parameters.overlay, places, view.original),
    )


GROUNDING = Task(
    name="grounding",
    summary="Locate things in a picture",
    description="Boxes on the original picture as a viewer shows it, whatever was turned and "
    "shrunk for the model; with a layer to lay over it on request. Llama 3.2 Vision was not "
    "trained to point: treat its boxes as hints.",
    parameters=GroundingParameters,
    result=GroundingResult,
    questions=questions,
    conclude=conclude,
    example=Example(
        parameters={"phrases": ["cat"], "overlay": "svg"},
        result={
            "objects": [
                {
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
        },
    ),
)
