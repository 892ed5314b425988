"""The inspection task: finds visible damage and defects of an object."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer, ModelPart
from app.services.answers.lenient import (
    Listed,
    SparedText,
    Text,
    Words,
    notes_of,
    synonyms,
    trimmed,
    word,
)
from app.services.answers.schemas.conform import folded
from app.services.answers.text.words import NO_NUMBER, nothing
from app.services.deferred_model import DeferredModel
from app.services.tasks.capability import DEFECTS_UNTRAINED, Capability
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    LISTING,
    Example,
    Finding,
    Parameters,
    Question,
    Result,
    Task,
    only,
)

NOTICE = (
    "Made by a language model from one picture. No substitute for an inspection by a qualified "
    "person; what a picture does not show is not judged."
)
MAX_FINDINGS = 30

Verdict = Literal["no_defect_seen", "defect_seen", "uncertain"]
Severity = Literal["minor", "major", "critical", "unknown"]


class InspectionParameters(Parameters):
    """The inspected object and the defects to look for."""

    object: Annotated[
        str, Field(min_length=1, max_length=200, description="What it is: `car door`, `weld`.")
    ]
    look_for: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]],
        Field(max_length=20, description="Defects or damage to look for; by default any."),
    ] = []  # noqa: RUF012 - Pydantic copies it


_SEVERITIES = synonyms(
    minor=(
        "low,slight,small,light,superficial,cosmetic,mild,trivial,negligible,gering,leicht,"
        "klein,mineure,leve,lieve"
    ),
    major=(
        "high,serious,significant,large,considerable,schwer,erheblich,hoch,majeure,grave,importante"
    ),
    critical=(
        "severe,extreme,very high,very severe,fatal,dangerous,kritisch,critique,crítico,critico"
    ),
    unknown="n/a,none,unclear,not known,unbekannt",
)
_VERDICTS = synonyms(
    no_defect_seen=(
        "no defect,no defects,no defects seen,no damage,no damage seen,ok,pass,passed,good,"
        "intact,none"
    ),
    defect_seen="defect,defects,defects seen,damage,damaged,damage seen,defective,fail,failed",
    uncertain="unknown,unclear,unsure,inconclusive,not sure",
)


class Defect(ModelPart):
    """The form of one finding of the model."""

    aliases: ClassVar[dict[str, str]] = {
        "name": "defect", "type": "defect", "damage": "defect",
        "location": "place", "description": "details",
    }  # fmt: skip

    defect: Annotated[Text, Field(min_length=1)]
    severity: Annotated[Severity, word(_SEVERITIES, kind="severity", other="unknown")]
    place: Annotated[Words, Field(description="where on the object")]
    details: Words

    @model_validator(mode="before")
    @classmethod
    def _defect_alone(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, str):
            value = {"defect": value, "severity": "unknown"}
        if not isinstance(value, dict):
            return value
        spare = {"severity": "unknown"} if notes_of(info).lenient else {}
        return {"place": None, "details": None, **spare, **cls.spelt(value)}


_NO_DEFECT = re.compile(
    r"(?:there (?:is|are) )?(?:no|none of the|keine?|aucun|ning[uú]n|nessun|nenhum)\s(?:\w+ ){0,3}?"
    r"(?:defects?|damages?|issues?|problems?|faults?|flaws?|scratch(?:es)?|dents?|cracks?|corrosion|rust|wear|anomal(?:y|ies)|mängel|schäden"
    r"|d[ée]fauts?|da[ñn]os?|difetti?|defeitos?)"
    r"(?: (?:\w+ ){0,2}?(?:seen|found|observed|visible|detected|identified|noted|present|sichtbar"
    r"|gefunden|erkennbar))?(?: (?:in|on) the \w+)?\.?",
    re.IGNORECASE,
)


def _none_seen(text: object) -> bool:
    """Return whether a text says that there is no defect."""
    words = str(text).strip()
    known = nothing(words, NO_NUMBER) or _VERDICTS.get(folded(words)) == "no_defect_seen"
    return known or (len(words) < 100 and _NO_DEFECT.fullmatch(words) is not None)


def _seen(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the findings without entries such as ``{"defect": "none"}``."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return value
    return [entry for entry in value if not _none_seen(_defect(entry))]


def _defect(entry: object) -> object:
    return Defect.spelt(entry).get("defect", "?!") if isinstance(entry, dict) else entry or ""


def _verdict(value: object) -> object:
    spoken = isinstance(value, str) and _NO_DEFECT.fullmatch(value.strip()[:100])
    return "no_defect_seen" if spoken else value


class InspectionAnswer(ModelAnswer):
    """The form that the model fills."""

    aliases: ClassVar[dict[str, str]] = {
        "defects": "findings", "damages": "findings", "issues": "findings",
        "recommendation": "action", "recommendedaction": "action",
    }  # fmt: skip
    spared: ClassVar[frozenset[str]] = frozenset({"action"})
    spoken: ClassVar[tuple[str, ...]] = ("action",)

    findings: Annotated[
        Listed[Defect],
        Field(max_length=MAX_FINDINGS),
        trimmed(MAX_FINDINGS, "findings"),
        BeforeValidator(_seen),
    ]
    verdict: Annotated[Verdict, word(_VERDICTS, kind="verdict"), BeforeValidator(_verdict)]
    action: Annotated[SparedText, Field(description="what should be done next, one sentence")]

    @model_validator(mode="before")
    @classmethod
    def _cut_before_the_verdict(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        """Accept the findings of an answer that was cut off before its verdict."""
        if isinstance(value, dict) and notes_of(info).cut:
            value = cls.spelt(value)
            if value.get("findings") and value.get("verdict") is None:
                return {**value, "verdict": "uncertain"}
        return value

    @property
    def contradicts(self) -> bool:
        """Return whether the verdict contradicts the findings."""
        return (self.verdict == "no_defect_seen") is bool(self.findings) and (
            self.verdict != "uncertain"
        )

    @model_validator(mode="after")
    def _verdict_follows(self, info: ValidationInfo) -> Self:
        if self.contradicts:
            count = len(self.findings)
            notes_of(info).doubt(f"the verdict is {self.verdict}, but there are {count} findings")
        return self


class DefectOut(DeferredModel):
    """One finding."""

    defect: str
    severity: Severity
    place: str
    description: str


class InspectionResult(Result):
    """The verdict and the findings."""

    verdict: Verdict
    findings: Annotated[list[DefectOut], Field(description="The most severe first.")]
    recommended_action: Annotated[
        str | None, Field(description="Null if the answer was cut off before it.")
    ]
    notice: Annotated[str, Field(description="What this is not.")]


def questions(
    parameters: InspectionParameters, _: int, _able: Capabilities
) -> Sequence[Question[InspectionAnswer]]:
    """Return a single question."""
    form = Model(InspectionAnswer)
    listed = " ".join(fenced("defect", defect) for defect in parameters.look_for)
    text = prompt("inspection").filled(
        object=fenced("object", parameters.object),
        look_for=f"\nPay attention to these: {listed}" if listed else "",
    )
    return (Question(text, form),)


def conclude(
    _: InspectionParameters, findings: Sequence[Finding[InspectionAnswer]]
) -> InspectionResult:
    """Return the verdict, the findings with the most severe first, and the notice."""
    answer = only(findings)
    order: list[Severity] = ["critical", "major", "minor", "unknown"]
    defects = sorted(answer.findings, key=lambda defect: order.index(defect.severity))
    return InspectionResult(
        # A verdict and findings that contradict each other are both unreliable.
        verdict="uncertain" if answer.contradicts else answer.verdict,
        findings=[
            DefectOut(
                defect=entry.defect,
                severity=entry.severity,
                place=entry.place,
                description=entry.details,
            )
            for entry in defects
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
    sampling=replace(LISTING, max_gen_len=1024),
    capability=Capability(
        basis="Not measured by itself; nearest is VQAv2 75.2.",
        untrained=(
            "defects",
            "severity",
        ),
    ),
    cautions=lambda *_: (DEFECTS_UNTRAINED,),
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
