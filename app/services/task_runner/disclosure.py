"""Applies guardrails to texts of a task's answer that the model did not write."""

import asyncio
import html
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from app.domain.errors import GuardrailUnavailableError
from app.domain.generation import CallContext
from app.domain.guardrail import GuardrailReport
from app.domain.image import AnswerWarning
from app.services.answers.schemas.conform import texts
from app.services.guardrails.document_texts import DocumentTexts, ReleasedTexts, masked
from app.services.guardrails.refusal import held_back
from app.services.tasks.spec import Finding

ResultT = TypeVar("ResultT", bound=BaseModel)

_PARTS = re.compile(r"[\t\n\r|]|<[^<>]*>|^#+ ", re.MULTILINE)
"""Separators between the parts of a result's text: cells, lines, HTML tags and headings."""
_FACTS = frozenset({"file", "kind", "error", "code", "message"})
"""Members of results that contain no text of a document."""


@dataclass(slots=True)
class Disclosure:
    """Withholds blocked texts of one task's answer; the model's own texts are already judged."""

    texts: DocumentTexts
    call_context: CallContext
    reports: list[GuardrailReport] = field(default_factory=list)
    _layers: dict[int, tuple[str | None, tuple[AnswerWarning, ...]]] = field(default_factory=dict)
    _turns: "defaultdict[int, asyncio.Lock]" = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    @property
    def judges(self) -> bool:
        """Return whether a guardrail judges texts of this request."""
        return self.texts.judged(self.call_context)

    @property
    def report(self) -> GuardrailReport | None:
        """Return the combined report on all texts, or None if no guardrail was asked."""
        return sum(self.reports[1:], self.reports[0]) if self.reports else None

    async def layer(self, finding: Finding[Any]) -> Finding[Any]:
        """Return ``finding`` with its page's embedded text as released, judged once per page."""
        own, page = finding.origin.text, finding.page
        if own is None or not self.judges:
            return finding
        async with self._turns[page]:
            if page not in self._layers:
                (shown,), warnings = await self.shown([own], "the page's own text")
                self._layers[page] = shown, warnings
        shown, warnings = self._layers[page]
        origin = replace(finding.origin, text=shown)
        return replace(finding, origin=origin, warnings=(*finding.warnings, *warnings))

    async def shown(
        self, texts: Sequence[str], what: str
    ) -> tuple[tuple[str | None, ...], tuple[AnswerWarning, ...]]:
        """Return ``texts`` as released, and a warning if ``what`` is held back.

        If the guardrail is unavailable, the texts are held back rather than the paid answer.
        """
        try:
            released = await self._released(texts)
        except GuardrailUnavailableError as error:
            warning = AnswerWarning(error.code, f"{what} is held back: {error.detail}")
            return (None,) * len(texts), (warning,)
        if not released.blocked:
            return released.texts, ()
        policies = ", ".join(released.report.policies) if released.report else ""
        message = f"{what} is held back: a guardrail blocked it ({policies})."
        return released.texts, (AnswerWarning("guardrail_blocked", message),)

    def unjudged(self, result: BaseModel, findings: Iterable[Finding[Any]]) -> list[str]:
        """Return the texts of ``result`` that no single answer contains, composed of several."""
        known = set()
        for finding in findings:
            answer = finding.answer
            answer_texts = texts(
                answer.model_dump() if isinstance(answer, BaseModel) else None, _FACTS
            )
            for text in (*answer_texts, finding.origin.text or ""):
                known |= _parts(text)
        shown = dict.fromkeys(texts(result.model_dump(), _FACTS))
        return [text for text in shown if _parts(text) - known]

    async def composed(self, result: ResultT, judged: Sequence[str]) -> ResultT:
        """Return ``result`` with its texts in ``judged`` masked as the guardrail requires.

        Raises GuardrailBlockedError if one is blocked, and GuardrailUnavailableError.
        """
        released = await self._released(judged)
        if released.blocked:
            raise held_back("the answer", self.report)
        masks = released.masks(judged)
        if not masks:
            return result
        return type(result).model_validate(masked(result.model_dump(), masks))

    async def _released(self, texts: Sequence[str]) -> ReleasedTexts:
        released = await self.texts.released(texts, self.call_context)
        if released.report is not None:
            self.reports.append(released.report)
        return released


def _parts(text: str) -> set[str]:
    return {part for each in _PARTS.split(text) if (part := html.unescape(each).strip())}
