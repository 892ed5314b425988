"""The retrieval task: ranks pictures for a text, or texts for a picture."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.lenient import Share, Truth, Words
from app.services.answers.probability import Measure, of_truth
from app.services.deferred_model import DeferredModel
from app.services.tasks.capability import SCORES_UNTRAINED, Capability
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
    left_out,
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
    """The form of the model's judgement of one candidate."""

    spoken: ClassVar[tuple[str, ...]] = ("reason",)

    reason: Words = ""
    score: Share


class JudgedAnswer(FitAnswer):
    """The form of the judgement if log probabilities are available."""

    # Comes after the reason, from which it should follow.
    match: Annotated[Truth, Field(description="whether the picture fits the text")]


VERDICT = Measure("match", ("true", "false"))


class Ranked(DeferredModel):
    """One candidate."""

    index: Annotated[int, Field(description="Among the images or texts given, from 0.")]
    text: Annotated[str | None, Field(description="The candidate, if texts are ranked.")]
    score: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="How well it fits: `probability` if that is known, else the model's own "
            "number.",
        ),
    ]
    probability: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="The probability that the model says it fits, by its log probabilities; "
            "left out if there are none.",
        ),
        left_out(None),
    ] = None
    reason: str


class Unranked(DeferredModel):
    """A candidate that could not be judged."""

    index: int
    error: str


class RetrievalResult(Result):
    """The ranking."""

    ranking: Annotated[list[Ranked], Field(description="Best first; equals keep their order.")]
    failed: list[Unranked]


def questions(
    parameters: RetrievalParameters, shots: int, able: Capabilities
) -> Sequence[Question[FitAnswer]]:
    """Return one question for each candidate."""
    if (parameters.query is None) == (not parameters.texts):
        raise TaskParameterError("query", "give either a query or texts")
    if parameters.texts and shots != 1:
        raise TaskParameterError("texts", f"are ranked for one image; {shots} were given")
    if parameters.query is not None:
        return [_question(parameters.query, shot, able) for shot in range(shots)]
    return [_question(text, 0, able) for text in parameters.texts]


def _question(text: str, image: int, able: Capabilities) -> Question[FitAnswer]:
    form: Model[FitAnswer] = Model(JudgedAnswer if able.logprobs else FitAnswer)
    filled = prompt("retrieval").filled(text=fenced("text", text))
    return Question(filled, form, (image,), (VERDICT,) if able.logprobs else ())


def conclude(
    parameters: RetrievalParameters, findings: Sequence[Finding[FitAnswer]]
) -> RetrievalResult:
    """Return the candidates by score."""
    ranking = [
        _ranked(index, parameters.texts[index] if parameters.texts else None, finding, answer)
        for index, finding in enumerate(findings)
        if (answer := finding.answer) is not None
    ]
    failed = [
        Unranked(index=index, error=finding.fault or "there is no answer")
        for index, finding in enumerate(findings)
        if finding.answer is None
    ]
    if not ranking:
        raise UnansweredError((failed[0].error,))
    return RetrievalResult(ranking=sorted(ranking, key=lambda r: -r.score), failed=failed)


def _ranked(index: int, text: str | None, finding: Finding[FitAnswer], answer: FitAnswer) -> Ranked:
    match = answer.match if isinstance(answer, JudgedAnswer) else None
    verdict = finding.chances.get(VERDICT.key)
    # Used only for the value that was read, as a synonym of true or false has other tokens.
    known = verdict is not None and match is not None and verdict.value is match
    probability = round(of_truth(verdict), 4) if verdict is not None and known else None
    return Ranked(
        index=index,
        text=text,
        score=answer.score if probability is None else probability,
        probability=probability,
        reason=answer.reason,
    )


RETRIEVAL = Task(
    name="retrieval",
    summary="Rank pictures for a text, or texts for a picture",
    description=f"Up to {MAX_IMAGES} images for one `query`, or up to {MAX_TEXTS} `texts` for one "
    "image; one call for each candidate, which shows the picture as it is, counted in the answer. "
    "Scores are the model's separate judgements: probabilities if the model returns them, else "
    "meaningful only as an order.",
    parameters=RetrievalParameters,
    result=RetrievalResult,
    questions=questions,
    conclude=conclude,
    capability=Capability(
        basis="No measurement; Meta names it as an additional use case.",
        untrained=("scores that are calibrated",),
    ),
    cautions=lambda *_: (SCORES_UNTRAINED,),
    images=Images(most=MAX_IMAGES),
    example=Example(
        parameters={"query": "a cat"},
        result={
            "ranking": [
                {
                    "index": 0,
                    "text": None,
                    "score": 0.97,
                    "probability": 0.97,
                    "reason": "It shows a cat.",
                }
            ],
            "failed": [],
        },
    ),
)
