"""Applies guardrails: to the content of ApplyGuardrail, and around the model."""

from dataclasses import replace
from functools import partial
from typing import Any

from app.emulator.config import EmulatorConfig
from app.emulator.guardrails import application
from app.emulator.guardrails.assessment import assessment
from app.emulator.guardrails.judgement import BLOCKED, Guardrail, Verdict, named, together
from app.emulator.model.logprobs import SpokenAnswer
from app.emulator.model.model import ToyModel
from app.emulator.wire.bodies.conversation import Answer, Ask, GuardOutcome, Picture


class Screening:
    """Judges texts and pictures by the guardrails of a configuration."""

    def __init__(self, config: EmulatorConfig, model: ToyModel) -> None:
        self._model = model
        self._find = named(config.guardrails)

    async def applied(self, identifier: str, version: str, body: bytes) -> dict[str, Any]:
        """Return the answer of ApplyGuardrail, or raise an AwsError."""
        guardrail, size = self._find(identifier, version), len(body)
        parse = partial(application.parse, body, decode=guardrail.sees)
        texts, pictures, count, full = await self._model.in_thread(parse, size=size)
        seen = await self._seen(guardrail, pictures)
        judge = partial(application.answer, guardrail, texts, seen, count, full=full)
        return await self._model.in_thread(judge, size=size)

    async def _seen(
        self, guardrail: Guardrail, pictures: list[Picture] | tuple[Picture, ...]
    ) -> list[Verdict]:
        if not guardrail.sees:
            return []
        reads = bool(guardrail.policy.picture_words)
        looks = [await self._model.look(picture, read=reads) for picture in pictures]
        return [guardrail.judge_picture(*look) for look in looks]

    async def answer(self, ask: Ask) -> Answer:
        """Return the model's answer after the guardrail that the call names."""
        if ask.guarded is None:
            return await self._free(ask)
        guardrail = self._find(ask.guarded.identifier, ask.guarded.version)
        texts = guardrail.judge("\n".join(turn.text for turn in ask.turns))
        question = together([texts, *await self._seen(guardrail, ask.pictures)])
        if question.blocked:
            refusal = await self._model.answer(ask, SpokenAnswer(BLOCKED))
            return _screened(refusal, guardrail, ask, question)
        verdict = guardrail.judge((await self._free(ask)).text)
        answer = await self._model.answer(ask, SpokenAnswer(verdict.text))
        return _screened(answer, guardrail, ask, question, verdict)

    async def _free(self, ask: Ask) -> Answer:
        return await self._model.answer(ask, await self._model.speech(ask))


def _screened(
    answer: Answer,
    guardrail: Guardrail,
    ask: Ask,
    question: Verdict,
    verdict: Verdict | None = None,
) -> Answer:
    """Return the answer after the guardrail; without ``verdict`` there is no model's answer."""
    intervened = verdict is None or verdict.intervened
    outcome = GuardOutcome(intervened, _trace(guardrail, ask, question, verdict))
    return replace(answer, stop="guardrail" if intervened else answer.stop, guard=outcome)


def _trace(
    guardrail: Guardrail, ask: Ask, question: Verdict, verdict: Verdict | None
) -> dict[str, object] | None:
    if ask.guarded is None or not ask.guarded.trace:
        return None
    asked = sum(len(turn.text) for turn in ask.turns)
    trace: dict[str, object] = {
        "input": {guardrail.identifier: assessment(question, asked, ask.picture_count)}
    }
    if verdict is not None:
        trace["outputs"] = {guardrail.identifier: assessment(verdict, len(verdict.text))}
    return trace
