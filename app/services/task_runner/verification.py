"""Evidence for one task's answer: pictures are read again, and doubtful values asked again."""

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
from app.services.evidence.text import Match
from app.services.geometry import View
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
"""Values without support that the model is told."""
AGREE = (Match.EXACT, Match.NORMALISED)
"""Decides whether two values are the same."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A picture that is to be read."""

    picture: bytes
    page: int
    origin: Origin
    view: View | None


@dataclass(slots=True)
class Verification:
    """Reads what the model was shown, and holds its answers against that."""

    task: Task[Any, Any]
    parameters: Any
    threads: AnswerReader
    reader: Reader = field(default_factory=NoReader)
    readings: dict[int, PageReading] = field(default_factory=dict)
    """The key is the question's position."""
    _kept: "dict[int, _Kept]" = field(default_factory=dict)
    again: dict[int, Sequence[Claim]] = field(default_factory=dict)
    """The claims of answers that were asked for again, by the question's position."""

    @property
    def wanted(self) -> str:
        """The caller's wish: ``off``, ``report`` or ``strict``."""
        if self.task.claims is None or not isinstance(self.parameters, VerifiedParameters):
            return "off"
        return self.parameters.verify

    def keep(
        self, position: int, picture: bytes, page: int, origin: Origin, view: View | None
    ) -> None:
        """Keep the picture that one question showed until it is read."""
        if self.wanted != "off" and self.reader.able:
            self._kept[position] = _Kept(picture, page, origin, view)

    async def read(self, position: int) -> None:
        """Read the picture of one question a second time."""
        kept = self._kept.pop(position, None)
        words = await self.reader.read(kept.picture) if kept else None
        if kept is not None and words is not None:
            where = kept.page, kept.origin.file, kept.origin.number
            self.readings[position] = PageReading(*where, kept.view, words)

    async def confirmed(
        self, position: int, question: Question[Any], finding: Finding[Any], ask: AskAgain
    ) -> Finding[Any]:
        """Return a finding whose values without support were asked for once more."""
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
            # The first answer is there, and was paid for.
            return finding
        if second.answer is None:
            return finding
        told = await self._evidence(second, reading)
        self.again[position] = [one.claim for one in told]
        answer = self._better(finding, second, evidence, told)
        return finding if answer is finding.answer else replace(finding, answer=answer, chances={})

    def _better(
        self,
        first: Finding[Any],
        second: Finding[Any],
        before: Sequence[Evidence],
        after: Sequence[Evidence],
    ) -> Any:  # noqa: ANN401 - the task's own answer
        supported = {one.claim.path for one in after if one.independent}
        doubtful = [one.claim.path for one in before if not one.independent]
        if self.task.mended is not None:
            paths = [path for path in doubtful if path in supported]
            return self.task.mended(first.answer, second.answer, paths) if paths else first.answer
        fewer = sum(not one.independent for one in after) < len(doubtful)
        return second.answer if fewer and supported else first.answer

    async def _evidence(self, finding: Finding[Any], reading: PageReading) -> list[Evidence]:
        return await self.threads.run(self._searched, finding, reading)

    def _searched(self, finding: Finding[Any], reading: PageReading) -> list[Evidence]:
        assert self.task.claims is not None
        try:
            result = self.task.conclude(self.parameters, [finding])
        except UnansweredError:
            return []
        # Its page tells the same once more.
        claims = [claim for claim in self.task.claims(result) if claim.part[:1] != ("pages",)]
        return gathered(claims, [reading])

    async def evidence(
        self, result: Result, disclosure: Disclosure
    ) -> tuple[dict[str, Any] | None, tuple[AnswerWarning, ...]]:
        """Return the evidence in the result's shape; None where nothing could tell any.

        The engine's own words are in it as far as ``disclosure`` shows them, which may warn.
        """
        if self.wanted == "off":
            return None, ()
        found = await self.threads.run(self._rendered, result)
        if not found:
            return None, ()
        # What is the value itself, or the model's quotation, was judged in the model's answer.
        own = [
            (place, one.text)
            for place, (claim, one) in enumerate(found)
            if one.text and one.source == "ocr_engine" and one.text != claim.value
        ]
        warnings: tuple[AnswerWarning, ...] = ()
        if own and disclosure.judges:
            texts = list(dict.fromkeys(text for _, text in own))
            shown, warnings = await disclosure.shown(texts, "text that the OCR engine read")
            by_text = dict(zip(texts, shown, strict=True))
            for place, text in own:
                claim, one = found[place]
                found[place] = claim, one.model_copy(update={"text": by_text[text]})
        return await self.threads.run(_mirrored, found), warnings

    def _rendered(self, result: Result) -> list[tuple[Claim, EvidenceOut]]:
        assert self.task.claims is not None
        claims = list(self.task.claims(result))
        if not self.readings:
            # Nothing was looked for in the picture: only a quote may tell something.
            claims = [claim for claim in claims if claim.quote]
        if not claims:
            return []
        readings = [self.readings[position] for position in sorted(self.readings)]
        return [(one.claim, rendered(one, self._others(one))) for one in gathered(claims, readings)]

    def _others(self, evidence: Evidence) -> list[bool]:
        """Return of each reading beside the model's first whether it says the value."""
        claim = evidence.claim
        pages = {reading.page for reading in self.readings.values()}
        read = bool(pages & claim.pages if claim.pages else pages)
        others = [evidence.independent and evidence.match in AGREE] if read else []
        page = evidence.reading.page if evidence.reading else next(iter(claim.pages), None)
        for position, again in self.again.items():
            if page is None or self.readings[position].page == page:
                others.append(_says(again, claim))
        return others


def _mirrored(found: Sequence[tuple[Claim, EvidenceOut]]) -> dict[str, Any]:
    return mirrored((claim.path, one.model_dump(mode="json")) for claim, one in found)


def _says(claims: Sequence[Claim], claim: Claim) -> bool:
    values = {_same(one.value) for one in claims if one.path[-1:] == claim.path[-1:]}
    return _same(claim.value) in values


def _same(value: str | float) -> object:
    return " ".join(value.split()).casefold() if isinstance(value, str) else value


def _again(question: Question[Any], doubtful: Sequence[Evidence]) -> Question[Any]:
    values = " ".join(fenced("value", _written(one.claim)) for one in doubtful[:SHOWN])
    told = prompt("verify").filled(values=values)
    return replace(question, text=f"{question.text}\n{told}")


def _written(claim: Claim) -> str:
    path: Path = claim.path[1:] if len(claim.path) > 1 else claim.path
    return f"{'.'.join(map(str, path))}: {claim.value}"[:200]
