"""The caption task: describes a picture for a given purpose."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from app.domain.generation import Sampling
from app.domain.model import Capabilities
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.lenient import Sentences, Text, parted, shortened, sparing, trimmed
from app.services.tasks.capability import Capability
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import Example, Finding, Parameters, Question, Result, Task, only

MAX_ALT = 125
"""Maximum characters of an alternative text, as many screen readers split longer ones."""

MAX_TAGS = 20

Style = Literal["short", "detailed", "alt_text", "social", "product", "property_listing"]
STYLES: dict[Style, str] = {
    "short": "a caption of one short sentence.",
    "detailed": "a caption of three to five sentences: subject, setting, colours, details.",
    "alt_text": "a text for people who can not see it: what matters, no opening like image of.",
    "social": "a lively caption of one or two sentences for a social network.",
    "product": "a product description of two or three sentences: kind, material, colour, state.",
    "property_listing": "a property listing of two to four sentences: rooms, light, features.",
}


class CaptionParameters(Parameters):
    """The purpose of the caption."""

    style: Annotated[Style, Field(description="What the caption is for.")] = "short"


class CaptionAnswer(ModelAnswer):
    """The form of the model's answer."""

    aliases: ClassVar[dict[str, str]] = {"alttext": "alt", "keywords": "tags", "hashtags": "tags"}
    spared: ClassVar[frozenset[str]] = frozenset({"alt", "tags"})
    spoken: ClassVar[tuple[str, ...]] = ("caption", "alt")

    caption: Annotated[Text, Field(min_length=1)]
    alt: Annotated[
        str | None,
        *sparing({"type": "string", "minLength": 1, "maxLength": MAX_ALT}),
        shortened(MAX_ALT, "alternative text"),
        Field(description="at most 125 characters, one phrase"),
    ]
    tags: Annotated[
        Sentences,
        Field(max_length=MAX_TAGS, description="three to eight single words, lower case"),
        trimmed(MAX_TAGS, "tags"),
        BeforeValidator(parted),
    ]


class CaptionResult(Result):
    """A description of the picture."""

    caption: Annotated[str, Field(description="In the requested style.")]
    alt_text: Annotated[
        str | None,
        Field(
            max_length=MAX_ALT,
            description="For an `alt` attribute; at most 125 characters. Null if the answer was "
            "cut off before it.",
        ),
    ]
    tags: Annotated[list[str], Field(description="Keywords, each once.")]


def questions(
    parameters: CaptionParameters, _: int, _able: Capabilities
) -> Sequence[Question[CaptionAnswer]]:
    """Return a single question."""
    form = Model(CaptionAnswer)
    text = prompt("caption").filled(style=STYLES[parameters.style])
    return (Question(text, form),)


def conclude(_: CaptionParameters, findings: Sequence[Finding[CaptionAnswer]]) -> CaptionResult:
    """Return the model's answer with each tag once."""
    answer = only(findings)
    words = (tag.strip().lstrip("#").lower() for tag in answer.tags)
    tags = dict.fromkeys(word for word in words if word)
    return CaptionResult(caption=answer.caption, alt_text=answer.alt, tags=list(tags))


CAPTION = Task(
    name="caption",
    summary="Describe a picture",
    description="A caption in a chosen style, an alternative text for screen readers, and tags.",
    parameters=CaptionParameters,
    result=CaptionResult,
    questions=questions,
    conclude=conclude,
    capability=Capability(basis="No measurement; Meta names it as an intended use."),
    sampling=Sampling(temperature=0.4, max_gen_len=512),
    example=Example(
        parameters={"style": "alt_text"},
        result={
            "caption": "A tabby cat looks past the camera.",
            "alt_text": "Tabby cat with green eyes, close up",
            "tags": ["cat", "tabby", "pet"],
        },
    ),
)
