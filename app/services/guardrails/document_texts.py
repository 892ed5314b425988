"""Checks texts of documents that are returned with an answer although the model did not write them.

A page's own text, what an OCR engine read, the chunks of a knowledge base: they are judged as
answers are, by the caller's policy for the output.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.generation import CallContext
from app.domain.guardrail import Action, Content, GuardrailPolicy, GuardrailReport, Mode, Source
from app.services.guardrails.policies import GuardrailPolicies
from app.services.guardrails.screen import Screen
from app.services.receipts.witness import note_verdict
from app.telemetry import current


@dataclass(frozen=True, slots=True)
class ReleasedTexts:
    """Texts as they may be returned."""

    texts: tuple[str | None, ...]
    """The texts in order, possibly masked; None for a blocked one."""
    report: GuardrailReport | None = None
    """None if no guardrail was called."""

    @property
    def blocked(self) -> bool:
        """Whether any text is blocked."""
        return None in self.texts

    def masks(self, judged: Sequence[str]) -> Mapping[str, str]:
        """Return the replacements of the ``judged`` texts that are masked."""
        pairs = zip(judged, self.texts, strict=True)
        return {text: shown for text, shown in pairs if shown is not None and shown != text}


@dataclass(frozen=True, slots=True)
class DocumentTexts:
    """Has the guardrail check texts of documents."""

    policies: GuardrailPolicies
    screen: Screen | None = None
    """None if no guardrail is configured."""

    def judged(self, call_context: CallContext) -> bool:
        """Whether texts are checked in this call."""
        return self._policy(call_context) is not None

    async def released(self, texts: Sequence[str], call_context: CallContext) -> ReleasedTexts:
        """Return ``texts`` as they may be returned to the caller.

        Raises GuardrailUnavailableError if they can't be checked and the policy is to refuse.
        """
        policy = self._policy(call_context)
        if policy is None or not any(text.strip() for text in texts):
            return ReleasedTexts(tuple(texts))
        judged = await self._judged(tuple(texts), policy, call_context)
        _note(judged.report)
        return judged

    def _policy(self, call_context: CallContext) -> GuardrailPolicy | None:
        policy = self.policies.policy(call_context) if self.screen else None
        return None if policy is None or policy.output is Mode.OFF else policy

    async def _judged(
        self, texts: tuple[str, ...], policy: GuardrailPolicy, call_context: CallContext
    ) -> ReleasedTexts:
        """Check ``texts`` together, or in halves if one of them is blocked."""
        assert self.screen is not None
        content = Content(Source.OUTPUT, texts)
        assessment, report = await self.screen.check(
            content, policy, policy.output, call_context.call, "output"
        )
        if policy.output is Mode.AUDIT:
            return ReleasedTexts(texts, report)
        if not assessment.blocked:
            return ReleasedTexts(assessment.texts or texts, report)
        # The answer is returned without them; if it needs them, another error is raised.
        held = replace(report, action=Action.MASKED)
        if len(texts) == 1:
            return ReleasedTexts((None,), held)
        middle = len(texts) // 2
        first, second = await asyncio.gather(
            self._judged(texts[:middle], policy, call_context),
            self._judged(texts[middle:], policy, call_context),
        )
        assert first.report is not None
        assert second.report is not None
        return ReleasedTexts((*first.texts, *second.texts), held + first.report + second.report)


def masked(value: Any, masks: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` with the replacements of its texts."""
    if isinstance(value, str):
        return masks.get(value, value)
    if isinstance(value, Mapping):
        return {name: masked(member, masks) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [masked(member, masks) for member in value]
    return value


def _note(report: GuardrailReport | None) -> None:
    note_verdict(report)
    record = current()
    if report is None or report.action is Action.NONE:
        return
    policies = (record.guardrail_policies or "").split(", ")
    record.guardrail_action = report.action.value
    record.guardrail_policies = ", ".join(
        filter(None, dict.fromkeys((*policies, *report.policies)))
    )
