"""The compare task: finds what pictures have in common and where they differ."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.lenient import Sentences, Text, Words, absent, trimmed
from app.services.deferred_model import DeferredModel
from app.services.tasks.capability import DIFFERENCES_UNTRAINED, Capability
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    LISTING,
    Example,
    Finding,
    Images,
    Parameters,
    Question,
    Result,
    Task,
    UnansweredError,
)

MAX_IMAGES = 8
MAX_ENTRIES = 20
DESCRIBED = "Write the description in $language; copy the words in the picture as they are."


class CompareParameters(Parameters):
    """The focus and the strategy of the comparison."""

    focus: Annotated[
        str | None, Field(max_length=500, description="What the comparison is about.")
    ] = None
    image_strategy: Annotated[
        Literal["auto", "each", "contact_sheet"],
        Field(
            description="`auto`: one call shows them all unchanged if the model takes as many; "
            "else `each`. `each`: every picture is described in a call of its own and the "
            "descriptions are compared; keeps detail. `contact_sheet`: one call shows them side by "
            "side, on a single picture if the model does not take as many; keeps what words would "
            "lose, at a smaller size."
        ),
    ] = "auto"


class Description(ModelAnswer):
    """The form of the model's description of one picture."""

    prose: ClassVar[frozenset[str]] = frozenset({"description", "text"})
    spared: ClassVar[frozenset[str]] = frozenset({"text"})
    spoken: ClassVar[tuple[str, ...]] = ("description",)

    description: Annotated[Text, Field(min_length=1, description="three to six sentences")]
    text: Annotated[
        Words,
        Field(description="all words in the picture, empty if none"),
        BeforeValidator(absent),
    ]


class Comparison(ModelAnswer):
    """The form of the model's comparison."""

    spared: ClassVar[frozenset[str]] = frozenset({"similarities"})

    differences: Annotated[
        Sentences, Field(max_length=MAX_ENTRIES), trimmed(MAX_ENTRIES, "differences")
    ]
    similarities: Annotated[
        Sentences, Field(max_length=MAX_ENTRIES), trimmed(MAX_ENTRIES, "similarities")
    ]


class PictureOut(DeferredModel):
    """One of the compared pictures."""

    index: Annotated[int, Field(description="Among the images, from 0.")]
    description: str
    words_only_here: Annotated[
        list[str], Field(description="Lines of text read in this picture and in no other.")
    ]


class CompareResult(Result):
    """The comparison."""

    differences: list[str]
    similarities: list[str]
    images: Annotated[list[PictureOut], Field(description="Empty if one call showed them all.")]


Answer = Description | Comparison


def questions(
    parameters: CompareParameters, shots: int, able: Capabilities
) -> Sequence[Question[Answer]]:
    """Return a question about each picture, or a single one that compares them all."""
    fits = parameters.image_strategy == "auto" and shots <= able.max_images
    if fits or parameters.image_strategy == "contact_sheet":
        return (_side_by_side(parameters, shots),)
    form: Model[Answer] = Model(Description)
    text = prompt("compare").filled(focus=_focus(parameters))
    return [Question(text, form, (shot,), language=DESCRIBED) for shot in range(shots)]


def _side_by_side(parameters: CompareParameters, shots: int) -> Question[Answer]:
    form: Model[Answer] = Model(Comparison)
    text = prompt("compare-sheet").filled(focus=_focus(parameters))
    return Question(text, form, tuple(range(shots)))


def follow_up(
    parameters: CompareParameters, findings: Sequence[Finding[Answer]]
) -> Question[Answer] | None:
    """Return the question that compares the descriptions, or None if one of them is missing."""
    described = [f.answer for f in findings if isinstance(f.answer, Description)]
    if not described or len(described) < len(findings):
        return None
    form: Model[Answer] = Model(Comparison)
    text = prompt("compare-texts").filled(
        count=str(len(described)),
        focus=_focus(parameters),
        descriptions="\n".join(
            fenced(f"picture{number}", f"{description.description}\nWords: {description.text}")
            for number, description in enumerate(described, 1)
        ),
    )
    return Question(text, form, ())


def _focus(parameters: CompareParameters) -> str:
    return f" Look above all at: {fenced('focus', parameters.focus)}" if parameters.focus else ""


def conclude(_: CompareParameters, findings: Sequence[Finding[Answer]]) -> CompareResult:
    """Return the comparison."""
    faults = tuple(finding.fault for finding in findings if finding.fault)
    described = [f.answer for f in findings if isinstance(f.answer, Description)]
    compared = findings[-1].answer
    if faults or not isinstance(compared, Comparison):
        raise UnansweredError(faults or ("there is no comparison",))
    return CompareResult(
        differences=compared.differences,
        similarities=compared.similarities,
        images=[
            PictureOut(
                index=index,
                description=description.description,
                words_only_here=_own(index, described),
            )
            for index, description in enumerate(described)
        ],
    )


def _own(index: int, described: Sequence[Description]) -> list[str]:
    elsewhere = {
        line for i, other in enumerate(described) if i != index for line in _folded(other.text)
    }
    return [text for line, text in _folded(described[index].text).items() if line not in elsewhere]


def _folded(text: str) -> dict[str, str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return {line.casefold(): line for line in lines if line}


COMPARE = Task(
    name="compare",
    summary="Compare pictures",
    description=f"Differences and similarities of 2 to {MAX_IMAGES} images. A model that takes "
    "so many at a time sees them all at once; else they are described one by one, or shown on a "
    "contact sheet. Very small differences can be missed.",
    parameters=CompareParameters,
    result=CompareResult,
    questions=questions,
    conclude=conclude,
    sampling=replace(LISTING, max_gen_len=1024),
    capability=Capability(
        basis="Not measured by itself; nearest is VQAv2 75.2.",
        untrained=("small differences",),
    ),
    cautions=lambda *_: (DIFFERENCES_UNTRAINED,),
    follow_up=follow_up,
    images=Images(least=2, most=MAX_IMAGES),
    example=Example(
        parameters={"focus": "the animal", "image_strategy": "each"},
        result={
            "differences": [],
            "similarities": ["Both show the same cat."],
            "images": [
                {"index": 0, "description": "A tabby cat.", "words_only_here": []},
                {"index": 1, "description": "A tabby cat.", "words_only_here": []},
            ],
        },
    ),
)
