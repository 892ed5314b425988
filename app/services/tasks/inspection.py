"""Inspection: damage and defects of an object, as far as a picture shows them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.services.answers.fence import fenced
from app.services.answers.form import Model
from app.services.answers.lenient import Listed, Text, Word
from app.services.tasks.prompt import prompt, with_schema
from app.services.tasks.spec import Example, Finding, Parameters, Question, Result, Task, only

NOTICE = (
    "Made by a language model from one picture. No substitute for an inspection by a qualified "
    "person; what a picture does not show is not judged."
)
Verdict = Literal["no_defect_seen", "defect_seen", "uncertain"]
Severity = Literal["minor", "major", "critical", "unknown"]


class InspectionParameters(Parameters):
    """What is inspected, and for what."""

    object: Annotated[
        str, Field(min_length=1, max_length=200, description="What it is: `car door`, `weld`.")
    ]
    look_for: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]],
        Field(max_length=20, description="Defects or damage to look for; by default any."),
    ] = []  # noqa: RUF012 - Pydantic copies it


class Defect(BaseModel):
    """Asked of the model."""

    defect: Annotated[Text, Field(min_length=1)]
    severity: Word[Severity]
    place: Annotated[Text, Field(description="where on the object")]
    details: Text


class InspectionAnswer(BaseModel):
    """Asked of the model."""

    findings: Annotated[Listed[Defect], Field(max_length=30)]
    verdict: Word[Verdict]
    action: Annotated[Text, Field(description="what should be done next, one sentence")]


class DefectOut(BaseModel):
    """One finding."""

    defect: str
    severity: Severity
    place: str
    description: str


class InspectionResult(Result):
    """What was found."""

    verdict: Verdict
    findings: Annotated[list[DefectOut], Field(description="The most severe first.")]
    recommended_action: str
    notice: Annotated[str, Field(description="What this is not.")]


def questions(parameters: InspectionParameters, _: int) -> Sequence[Question[InspectionAnswer]]:
    """Ask once."""
    form = Model(InspectionAnswer)
    listed = " ".join(fenced("defect", defect) for defect in parameters.look_for)
    text = prompt("inspection").filled(
        object=fenced("object", parameters.object),
        look_for=f"\nPay attention to these: {listed}" if listed else "",
    )
    return (Question(with_schema(text, form.schema), form),)


def conclude(
    _: InspectionParameters, findings: Sequence[Finding[InspectionAnswer]]
) -> InspectionResult:
    """Return the findings, the most severe first, with the notice."""
    answer = only(findings)
    order: list[Severity] = ["critical", "major", "minor", "unknown"]
    defects = sorted(answer.findings, key=lambda defect: order.index(defect.severity))
    return InspectionResult(
        verdict=answer.verdict,
        findings=[
            DefectOut(
                defect=found.defect,
                severity=found.severity,
                place=found.place,
                description=found.details,
            )
            for found in defects
        ],
        recommended_action=answer.action,
        notice=NOTICE,
    )


INSPECTION = Task(
    name="inspection",
    summary="Look for damage and defects",
    description="For manufacturing, insurance and maintenance: a verdict, findings with severity "
    "and place, and what to do next. It is no substitute for an inspector, and says so.",
    parameters=InspectionParameters,
    result=InspectionResult,
    questions=questions,
    conclude=conclude,
    example=Example(
        parameters={"object": "car door", "look_for": ["scratch", "dent"]},
        result={
            "verdict": "defect_seen",
            "findings": [
                {
                    "defect": "scratch",
                    "severity": "minor",
                    "place": "below the handle",
                    "description": "A thin scratch as long as a hand.",
                }
            ],
            "recommended_action": "Polish and repaint the spot.",
            "notice": NOTICE,
        },
    ),
)
