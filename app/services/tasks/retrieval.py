"""Retrieval: pictures ranked for a text, or texts for a picture."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.instruction import with_schema
from app.services.answers.lenient import Share, Words
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    Example,
    Finding,
    Images,
    Parameters,
    Question,
    Result,
    Task,
    TaskParameterError,
    UnansweredError,
)

MAX_IMAGES = 20
MAX_TEXTS = 50


class RetrievalParameters(Parameters):
    """A text for several pictures, or several texts for one picture."""

    query: Annotated[
        str | None, Field(min_length=1, max_length=1000, description="Ranks the pictures.")
    ] = None
    texts: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1000)]],
        Field(max_length=MAX_TEXTS, description="Are ranked for the one picture."),
    ] = []  # noqa: RUF012 - Pydantic copies it


class FitAnswer(ModelAnswer):
    """Asked of the model, of every candidate."""

    spoken: ClassVar[tuple[str, ...]] = ("reason",)

    reason: Words = ""
    score: Share


class Ranked(BaseModel):
    """One candidate."""

    index: Annotated[int, Field(description="Among the images or texts given, from 0.")]
    text: Annotated[str | None, Field(description="The candidate, where texts are ranked.")]
    score: Annotated[float, Field(ge=0, le=1)]
    reason: str


class Unranked(BaseModel):
    """A candidate that could not be judged."""

    index: int
    error: str


class RetrievalResult(Result):
    """The ranking."""

    ranking: Annotated[list[Ranked], Field(description="Best first; equals keep their order.")]
    failed: list[Unranked]


def questions(parameters: RetrievalParameters, shots: int) -> Sequence[Question[FitAnswer]]:
    """Ask once for each candidate."""
    if (parameters.query is None) == (not parameters.texts):
        raise TaskParameterError("query", "give either a query or texts")
    if parameters.texts and shots != 1:
        raise TaskParameterError("texts", f"are ranked for one image; {shots} were given")
    if parameters.query is not None:
        return [_question(parameters.query, shot) for shot in range(shots)]
    return [_question(text, 0) for text in parameters.texts]


def _question(text: str, image: int) -> Question[FitAnswer]:
    form = Model(FitAnswer)
    filled = prompt("retrieval").filled(text=fenced("text", text))
    return Question(with_schema(filled, form.schema), form, (image,))


def conclude(
    parameters: RetrievalParameters, findings: Sequence[Finding[FitAnswer]]
) -> RetrievalResult:
    """Return the candidates by score."""
    ranking = [
        Ranked(
            index=index,
            text=parameters.texts[index] if parameters.texts else None,
            score=finding.answer.score,
            reason=finding.answer.reason,
        )
        for index, finding in enumerate(findings)
        if finding.answer is not None
    ]
    failed = [
        Unranked(index=index, error=finding.fault or "there is no answer")
        for index, finding in enumerate(findings)
        if finding.answer is None
    ]
    if not ranking:
        raise UnansweredError((failed[0].error,))
    return RetrievalResult(ranking=sorted(ranking, key=lambda r: -r.score), failed=failed)


RETRIEVAL = Task(
    name="retrieval",
    summary="Rank pictures for a text, or texts for a picture",
    description=f"Up to {MAX_IMAGES} images for one `query`, or up to {MAX_TEXTS} `texts` for one "
    "image; one call for each candidate, counted in the answer. Scores are the model's judgement, "
    "given one by one: good for order, no probabilities.",
    parameters=RetrievalParameters,
    result=RetrievalResult,
    questions=questions,
    conclude=conclude,
    images=Images(most=MAX_IMAGES),
    example=Example(
        parameters={"query": "a cat"},
        result={
            "ranking": [{"index": 0, "text": None, "score": 1.0, "reason": "It shows a cat."}],
            "failed": [],
        },
    ),
)
