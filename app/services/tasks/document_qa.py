"""The document question answering task: finds the page and the words that answer a question."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.lenient import Nullable, Text, Truth, notes_of, share, sparing
from app.services.answers.text.words import NO_NUMBER, judges, nothing
from app.services.evidence.claim import Claim, Path
from app.services.tasks.capability import Capability
from app.services.tasks.pages import PageFacts, by_page, facts
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    DocumentParameters,
    Example,
    Finding,
    Images,
    Note,
    Question,
    Result,
    Task,
    VerifiedParameters,
    notes,
)


class DocumentQaParameters(DocumentParameters, VerifiedParameters):
    """The question."""

    question: Annotated[str, Field(min_length=1, max_length=2000, description="What to find out.")]


def _on_the_page(answer: str, words: list[str]) -> bool:
    """Return whether the quoted words contain an answer like that of ``Cause: Unknown``."""
    own = re.findall(r"\w+", answer)
    spread = f" {' '.join(words)} "
    return len("".join(own)) > 2 and f" {' '.join(own)} " in spread


class PageAnswer(ModelAnswer):
    """The form of the model's answer about one page."""

    spared: ClassVar[frozenset[str]] = frozenset({"relevance"})
    spoken: ClassVar[tuple[str, ...]] = ("answer",)
    witness: ClassVar[str | None] = "quote"

    found: Truth
    answer: Text | None = None
    quote: Annotated[
        Nullable[Text], Field(description="copied from the page, where it says so")
    ] = None
    relevance: Annotated[
        float | None,
        Field(ge=0, le=1),
        *sparing({"type": "number", "minimum": 0, "maximum": 1}),
        BeforeValidator(share),
    ]

    @model_validator(mode="before")
    @classmethod
    def _words_of_the_page(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Convert a word for nothing to null, unless the page has it, as in ``Cause: Unknown``."""
        if not isinstance(value, dict) or not isinstance(answer := value.get("answer"), str):
            return value
        words = re.findall(r"\w+", str(value.get("quote") or "").casefold())
        folded_answer = answer.strip().casefold()
        if nothing(answer, NO_NUMBER) and not _on_the_page(folded_answer, words):
            return {**value, "answer": None}
        return value

    @model_validator(mode="after")
    def _not_found_and_answered(self, info: ValidationInfo) -> Self:
        if not self.found and self.answer is not None:
            notes_of(info).doubt("found is false, but there is an answer")
        return self

    @property
    def usable(self) -> bool:
        """Return whether the page answers the question."""
        return self.found and self.answer is not None


class PageFinding(PageFacts):
    """The answer of one page."""

    answer: str | None
    quote: str | None
    relevance: Annotated[float | None, Field(ge=0, le=1)]
    error: Annotated[str | None, Field(description="Why the page could not be asked, else null.")]
    warnings: Annotated[list[Note], Field(description="About this page's answer.")]


class DocumentQaResult(Result):
    """The answer and its place in the document."""

    answer: Annotated[str | None, Field(description="Null if no page answers.")]
    page: Annotated[int | None, Field(description="From 1; for several pictures, their position.")]
    file: Annotated[str | None, Field(description="The page's file in the request: `images.0`.")]
    number: Annotated[int | None, Field(description="The page's number in its file, from 1.")]
    quote: Annotated[
        str | None, Field(description="As on the page; `evidence` says whether it is there.")
    ]
    pages: Annotated[list[PageFinding], Field(description="What each page says.")]


def questions(
    parameters: DocumentQaParameters, shots: int, _able: Capabilities
) -> Sequence[Question[PageAnswer]]:
    """Return one question for each page or tile."""
    form = Model(PageAnswer)
    text = prompt("document-qa").filled(question=fenced("question", parameters.question))
    return [Question(text, form, (shot,)) for shot in range(shots)]


def conclude(_: DocumentQaParameters, findings: Sequence[Finding[PageAnswer]]) -> DocumentQaResult:
    """Return the answer of the most relevant page, the first of equally relevant ones."""
    pages = [_page(findings_of_page) for findings_of_page in by_page(findings)]
    answered = [page for page in pages if page.answer is not None]
    best = max(answered, key=lambda page: page.relevance or 0, default=None)
    return DocumentQaResult(
        answer=best.answer if best else None,
        page=best.page if best else None,
        file=best.file if best else None,
        number=best.number if best else None,
        quote=best.quote if best else None,
        pages=pages,
    )


def claims(result: DocumentQaResult) -> Iterator[Claim]:
    """Yield claims for the answer, unless it is yes or no, and for the quotes of all pages."""
    if result.page is not None:
        yield from _page_claims(result.answer, result.quote, result.page)
    for index, page in enumerate(result.pages):
        yield from _page_claims(page.answer, page.quote, page.page, ("pages", index))


def _page_claims(
    answer: str | None, quote: str | None, page: int, part: Path = ()
) -> Iterator[Claim]:
    pages = frozenset([page])
    if answer is not None and not judges(answer):
        yield Claim((*part, "answer"), answer, pages, quote, part=part)
    if quote:
        yield Claim((*part, "quote"), quote, pages, part=part)


def _page(own: Sequence[Finding[PageAnswer]]) -> PageFinding:
    answers = [finding.answer for finding in own if finding.answer is not None]
    faults = [finding.fault for finding in own if finding.fault]
    best = max(answers, key=lambda answer: (answer.usable, answer.relevance or 0), default=None)
    usable = best if best and best.usable else None
    return PageFinding(
        **facts(own),
        answer=usable.answer if usable else None,
        quote=usable.quote if usable else None,
        relevance=best.relevance if best else None,
        error="; ".join(faults) or None,
        warnings=notes(own),
    )


DOCUMENT_QA = Task(
    name="document-qa",
    summary="Answer a question from a document",
    description="Asks every page and gives the best answer with its page and quote. Takes a PDF, a "
    "multi-page TIFF or several pictures; one call for each page.",
    parameters=DocumentQaParameters,
    result=DocumentQaResult,
    questions=questions,
    conclude=conclude,
    claims=claims,
    capability=Capability(
        basis="DocVQA 88.4 (ANLS).",
        untrained=(
            "quotes",
            "relevance",
        ),
    ),
    images=Images(most=20, documents=True),
    language="Write the answer in $language; copy the quote as the page has it.",
    example=Example(
        parameters={"question": "What is the total?"},
        result={
            "answer": "42.10",
            "page": 1,
            "file": "images.0",
            "number": 1,
            "quote": "Total: 42.10",
            "pages": [
                {
                    "page": 1,
                    "file": "images.0",
                    "number": 1,
                    "answer": "42.10",
                    "quote": "Total: 42.10",
                    "relevance": 1.0,
                    "error": None,
                    "warnings": [],
                }
            ],
        },
    ),
)
