"""The reasoning task: answers a question in steps from what the picture shows."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from app.domain.generation import Sampling
from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.lenient import Sentences, Text, trimmed
from app.services.tasks.capability import Capability
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import Example, Finding, Parameters, Question, Result, Task, only

MAX_STEPS = 12


class ReasoningParameters(Parameters):
    """The question."""

    question: Annotated[str, Field(min_length=1, max_length=2000, description="What to work out.")]


class ReasoningAnswer(ModelAnswer):
    """The form of the model's answer."""

    spared: ClassVar[frozenset[str]] = frozenset({"steps"})
    spoken: ClassVar[tuple[str, ...]] = ("answer",)

    # Steps come first, since steps written after the answer would only justify it.
    steps: Annotated[Sentences, Field(max_length=MAX_STEPS), trimmed(MAX_STEPS, "steps")]
    answer: Annotated[Text, Field(min_length=1)]


class ReasoningResult(Result):
    """The steps and the answer."""

    steps: Annotated[list[str], Field(description="In order; what is seen, then what follows.")]
    answer: str


def questions(
    parameters: ReasoningParameters, _: int, _able: Capabilities
) -> Sequence[Question[ReasoningAnswer]]:
    """Return a single question."""
    form = Model(ReasoningAnswer)
    text = prompt("reasoning").filled(question=fenced("question", parameters.question))
    return (Question(text, form),)


def conclude(
    _: ReasoningParameters, findings: Sequence[Finding[ReasoningAnswer]]
) -> ReasoningResult:
    """Return the answer."""
    return ReasoningResult(**only(findings).model_dump())


REASONING = Task(
    name="reasoning",
    summary="Work out an answer from a picture in steps",
    description="For questions that take counting, comparing or common sense: the steps, then the "
    "answer. The steps are the model's account; check them where it matters.",
    parameters=ReasoningParameters,
    result=ReasoningResult,
    questions=questions,
    conclude=conclude,
    capability=Capability(
        basis="MMMU 50.7, MathVista 51.5.",
        untrained=("steps that are the real reasons",),
    ),
    sampling=Sampling(temperature=0.2, max_gen_len=1024),
    example=Example(
        parameters={"question": "Is the animal looking at the camera?"},
        result={
            "steps": ["A cat's face is seen from the front.", "Its eyes point past the viewer."],
            "answer": "No",
        },
    ),
)
