"""The checks of one call of the model: its question, its answer, its report."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain.access import Call
from app.domain.cost import DIGITS, Cost
from app.domain.errors import GuardrailUnavailableError
from app.domain.generation import ModelRequest, StopReason
from app.domain.guardrail import (
    Action,
    Assessment,
    Content,
    GuardrailPolicy,
    GuardrailReport,
    Kind,
    Mode,
    Source,
)
from app.domain.image import PreparedImage
from app.domain.usage import Usage
from app.services.guardrails import escapes
from app.services.guardrails.screen import Screen
from app.telemetry import current

NOT_ASKED = Usage(0, 0, Cost(0, 0))
"""The usage of a question that was not sent to the model."""


@dataclass(slots=True)
class Screening:
    """The checks of one call; audits run beside the call until the block ends."""

    screen: Screen
    policy: GuardrailPolicy
    call: Call
    report: GuardrailReport = field(default_factory=GuardrailReport)
    begun: str = ""
    """The beginning of the answer, which the model continues."""
    _audits: list["asyncio.Task[object]"] = field(default_factory=list)

    async def __aenter__(self) -> "Screening":
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the running checks."""
        for audit in self._audits:
            audit.cancel()
        await asyncio.gather(*self._audits, return_exceptions=True)

    @property
    def blocked(self) -> bool:
        """Whether the question or the answer is blocked."""
        return self.report.action is Action.BLOCKED

    async def question(self, request: ModelRequest) -> ModelRequest:
        """Return ``request`` as it may be sent to the model; check `blocked` first."""
        if self.policy.kind is Kind.MODEL:
            return replace(request, guardrail=self.policy)
        self.begun = request.begun
        checks: list[Coroutine[Any, Any, object]] = []
        if self.policy.image is not Mode.OFF:
            images = {image.sha256: image for turn in request.turns for image in turn.images}
            checks += [self._image(image) for image in images.values()]
            if self.policy.image is Mode.AUDIT:
                self._begin(checks)
                checks = []
        texts = _texts(request)
        if self.policy.input is Mode.OFF or not any(texts):
            await _together(checks)
            return request
        asked = self._text(texts, Source.INPUT, self.policy.input)
        if self.policy.input is Mode.AUDIT:
            self._begin([asked])
            await _together(checks)
            return request
        verdict, *_ = await _together([asked, *checks])
        assert isinstance(verdict, Assessment)
        return request if verdict.texts is None else _with_texts(request, verdict.texts)

    async def answer(self, text: str, usage: Usage) -> str:
        """Return an answer's ``text`` as it may be returned; check `blocked` first.

        Raises GuardrailUnavailableError with the ``usage``, which is billed.
        """
        if self.policy.output is Mode.OFF or self.policy.kind is Kind.MODEL or not text.strip():
            return text
        seen = escapes.read(text)
        if seen == text:
            texts: tuple[str, ...] = (text,)
        elif escapes.is_json(self.begun + text):
            texts = (seen,)
        else:
            # It may be read as plain text, or by a reader of JSON.
            texts = (text, seen)
        try:
            verdict = await self._text(texts, Source.OUTPUT, self.policy.output)
        except GuardrailUnavailableError as error:
            error.usage, error.report = self.priced(usage), self.report
            raise
        if self.blocked or self.policy.output is Mode.AUDIT or verdict.texts is None:
            return text
        return self._masked(text, texts, verdict.texts)

    def _masked(self, text: str, judged: tuple[str, ...], shown: tuple[str, ...]) -> str:
        """Return ``text`` as the verdict on its readings shows it."""
        if shown == judged:
            return text
        if judged[0] != text:
            return escapes.written(shown[0])
        if len(shown) > 1 and escapes.read(shown[0]) != shown[1]:
            # A hit that only a reader of JSON sees is masked in that reading alone.
            self.report = replace(self.report, action=Action.BLOCKED)
        return shown[0]

    async def concluded(self) -> GuardrailReport:
        """Return the report of all checks, including those that ran beside the call."""
        await asyncio.gather(*self._audits)
        record = current()
        record.guardrail_action = self.report.action.value
        record.guardrail_policies = ", ".join(self.report.policies) or None
        return self.report

    def heard(self, report: GuardrailReport | None, reason: StopReason, usage: Usage) -> None:
        """Add the report of the guardrail within the model's call, or its stop ``reason``.

        Raises GuardrailUnavailableError, with the ``usage``, where nothing shows that there was
        one and the policy is to refuse.
        """
        if self.policy.kind is not Kind.MODEL:
            return
        if report is None and reason is StopReason.GUARDRAIL:
            report = GuardrailReport(Action.BLOCKED)
        try:
            heard = self.screen.heard(report, self.policy)
        except GuardrailUnavailableError as error:
            error.usage, error.report = usage, self.report
            raise
        self.report = self.report + heard

    def priced(self, usage: Usage) -> Usage:
        """Return ``usage`` with the cost of the checks."""
        return priced(usage, self.report)

    def _begin(self, checks: Sequence[Coroutine[Any, Any, object]]) -> None:
        self._audits += [asyncio.create_task(check) for check in checks]

    async def _image(self, image: PreparedImage) -> Assessment:
        content = Content(Source.INPUT, images=(image,))
        return await self._checked(content, self.policy.image, "image")

    async def _text(self, texts: tuple[str, ...], source: Source, mode: Mode) -> Assessment:
        return await self._checked(Content(source, texts), mode, source.value.lower())

    async def _checked(self, content: Content, mode: Mode, name: str) -> Assessment:
        assessment, report = await self.screen.check(content, self.policy, mode, self.call, name)
        self.report = self.report + report
        return assessment


def priced(usage: Usage, report: GuardrailReport) -> Usage:
    """Return ``usage`` with the cost of the checks that ``report`` counts."""
    if report.cost_usd == 0 or usage.cost is None:
        return usage
    if report.cost_usd is None:
        # A sum with an unknown part is unknown.
        return replace(usage, cost=None)
    guardrail = round(usage.cost.guardrail + report.cost_usd, DIGITS)
    return replace(usage, cost=replace(usage.cost, guardrail=guardrail))


async def _together(checks: Sequence[Coroutine[Any, Any, object]]) -> list[object]:
    """Run ``checks`` concurrently and return their outcomes; if one fails, the others are ended."""
    tasks = [asyncio.create_task(check) for check in checks]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _texts(request: ModelRequest) -> tuple[str, ...]:
    """Return every text that the model gets: system text, the answer's beginning, and turns."""
    return (request.system or "", request.begun, *(turn.text for turn in request.turns))


def _with_texts(request: ModelRequest, texts: tuple[str, ...]) -> ModelRequest:
    system, begun, *others = texts
    turns = tuple(
        replace(turn, text=text) for turn, text in zip(request.turns, others, strict=True)
    )
    return replace(request, system=system or None, begun=begun, turns=turns)
