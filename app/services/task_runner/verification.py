"""Verifies one task's answer: OCR reads the images, and doubtful values are asked again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain.errors import ServiceError
from app.domain.image import AnswerWarning
from app.services.answers.executor import AnswerReader
from app.services.answers.fence import fenced
from app.services.documents.page import Origin
from app.services.evidence.claim import Claim, Path
from app.services.evidence.mirror import mirrored
from app.services.evidence.reader import NoReader, Reader
from app.services.evidence.support import Evidence, EvidenceOut, PageReading, gathered, rendered
from app.services.geometry import View
from app.services.task_runner.agreement import agrees, says, supports_more
from app.services.task_runner.disclosure import Disclosure
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    Finding,
    Question,
    Result,
    Task,
    UnansweredError,
    VerifiedParameters,
)

AskAgain = Callable[[Question[Any]], Awaitable[Finding[Any]]]
SHOWN = 12
"""Maximum unsupported values that are listed in the prompt of a second question."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An image that waits for OCR."""

    picture: bytes
    page: int
    origin: Origin
    view: View | None


@dataclass(slots=True)
class Verification:
    """Reads the images by OCR and compares the model's answers with the readings."""

    task: Task[Any, Any]
    parameters: Any
    threads: AnswerReader
    reader: Reader = field(default_factory=NoReader)
    readings: dict[int, PageReading] = field(default_factory=dict)
    """OCR readings by the position of the question."""
    _kept: "dict[int, _Kept]" = field(default_factory=dict)
    answers: dict[int, tuple[Sequence[Claim], ...]] = field(default_factory=dict)
    """The claims of both answers to each repeated question, by the position of the question."""

    @property
    def wanted(self) -> str:
        """Return the requested mode: ``off``, ``report`` or ``strict``."""
        if self.task.claims is None or not isinstance(self.parameters, VerifiedParameters):
            return "off"
        return self.parameters.verify

    def keep(
        self, position: int, picture: bytes, page: int, origin: Origin, view: View | None
    ) -> None:
        """Keep the image of a question until it is read."""
        if self.wanted != "off" and self.reader.able:
            self._kept[position] = _Kept(picture, page, origin, view)

    async def read(self, position: int) -> None:
        """Read the kept image of one question with the OCR engine."""
        kept = self._kept.pop(position, None)
        words = await self.reader.read(kept.picture) if kept else None
        if kept is not None and words is not None:
            where = kept.page, kept.origin.file, kept.origin.number
            self.readings[position] = PageReading(*where, kept.view, words)

    async def confirmed(
        self, position: int, question: Question[Any], finding: Finding[Any], ask: AskAgain
    ) -> Finding[Any]:
        """Return ``finding``, or a better one after unsupported values were asked again."""
        reading = self.readings.get(position)
        if self.wanted != "strict" or reading is None or finding.answer is None:
            return finding
        evidence = await self._evidence(finding, reading)
        doubtful = [one for one in evidence if not one.independent]
        if not doubtful:
            return finding
        try:
            second = await ask(_again(question, doubtful))
        except ServiceError:
            # The first answer is paid for and is returned.
            return finding
        if second.answer is None:
            return finding
        second_evidence = await self._evidence(second, reading)
        self.answers[position] = tuple(
            [one.claim for one in each] for each in (evidence, second_evidence)
        )
        return await self.threads.run(self._better, finding, second, evidence, second_evidence)

    def _better(
        self,
        first: Finding[Any],
        second: Finding[Any],
        before: Sequence[Evidence],
        after: Sequence[Evidence],
    ) -> Finding[Any]:
        """Return the better answer, the first one in case of doubt."""
        if self.task.mended is None:
            return second if supports_more(before, after) else first
        supported = {one.claim.path for one in after if one.independent}
        doubtful = [one.claim.path for one in before if not one.independent]
        paths = {path: path in supported for path in doubtful}
        answer = self.task.mended(self.parameters, first.answer, second.answer, paths)
        return replace(first, answer=answer)

    async def _evidence(self, finding: Finding[Any], reading: PageReading) -> list[Evidence]:
        return await self.threads.run(self._searched, finding, reading)

    def _searched(self, finding: Finding[Any], reading: PageReading) -> list[Evidence]:
        assert self.task.claims is not None
        try:
            result = self.task.conclude(self.parameters, [finding])
        except UnansweredError:
            return []
        # The members of ``pages`` repeat the same values.
        claims = [claim for claim in self.task.claims(result) if claim.part[:1] != ("pages",)]
        return gathered(claims, [reading])

    async def evidence(
        self, result: Result, disclosure: Disclosure
    ) -> tuple[dict[str, Any] | None, tuple[AnswerWarning, ...]]:
        """Return the evidence in the result's shape, or None if there is none, and warnings.

        Text read by the OCR engine is included only as far as ``disclosure`` releases it.
        """
        if self.wanted == "off":
            return None, ()
        pairs = await self.threads.run(self._rendered, result)
        if not pairs:
            return None, ()
        # Values and the model's quotations were already judged as part of the model's answer.
        own = [
            (place, one.text)
            for place, (claim, one) in enumerate(pairs)
            if one.text and one.source == "ocr_engine" and one.text != claim.value
        ]
        warnings: tuple[AnswerWarning, ...] = ()
        if own and disclosure.judges:
            texts = list(dict.fromkeys(text for _, text in own))
            shown, warnings = await disclosure.shown(texts, "text that the OCR engine read")
            by_text = dict(zip(texts, shown, strict=True))
            for place, text in own:
                claim, one = pairs[place]
                pairs[place] = claim, one.model_copy(update={"text": by_text[text]})
        return await self.threads.run(_mirrored, pairs), warnings

    def _rendered(self, result: Result) -> list[tuple[Claim, EvidenceOut]]:
        assert self.task.claims is not None
        claims = list(self.task.claims(result))
        if not self.readings:
            # Without a reading of the image, only quotations can be evidence.
            claims = [claim for claim in claims if claim.quote]
        if not claims:
            return []
        readings = [self.readings[position] for position in sorted(self.readings)]
        return [(one.claim, rendered(one, self._agreed(one))) for one in gathered(claims, readings)]

    def _agreed(self, evidence: Evidence) -> list[bool]:
        """Return whether each answer and then the engine's reading contains the value."""
        claim = evidence.claim
        pages = frozenset([evidence.reading.page]) if evidence.reading else claim.pages
        answered = [
            [says(answer, claim) for answer in answers]
            for position, answers in self.answers.items()
            if not pages or self.readings[position].page in pages
        ]
        # Answers about other pieces of the page are ignored.
        agreements = [one for answers in answered if any(answers) for one in answers] or [True]
        read = any(not pages or reading.page in pages for reading in self.readings.values())
        return [*agreements, agrees(evidence)] if read else agreements


def _mirrored(pairs: Sequence[tuple[Claim, EvidenceOut]]) -> dict[str, Any]:
    return mirrored((claim.path, one.model_dump(mode="json")) for claim, one in pairs)


def _again(question: Question[Any], doubtful: Sequence[Evidence]) -> Question[Any]:
    values = " ".join(fenced("value", _written(one.claim)) for one in doubtful[:SHOWN])
    correction = prompt("verify").filled(values=values)
    return replace(question, text=f"{question.text}\n{correction}")


def _written(claim: Claim) -> str:
    path: Path = claim.path[1:] or claim.path
    # The position of a line or a cell means nothing to the model.
    named = isinstance(path[0], str) and isinstance(path[-1], str)
    return f"{'.'.join(map(str, path))}: {claim.value}"[:200] if named else f"{claim.value}"[:200]
