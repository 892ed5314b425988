"""Answers that are JSON: asked for in the prompt, checked, asked again once."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

from app.domain.errors import ServiceError
from app.domain.generation import (
    Generation,
    GenerationRequest,
    ImageInput,
    Role,
    StopReason,
    Turn,
    summed,
)
from app.services.answers.form import AnswerError, Form, read
from app.services.generation.service import GenerationService
from app.services.tasks.prompt import correction, with_schema


@dataclass(frozen=True, slots=True)
class Structured:
    """An answer of a form, or the answer as it is and why it is not of the form."""

    generation: Generation
    """Its text is the JSON; where there is none, what the model wrote."""
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class StructuredService:
    """Has the model answer in a form."""

    generations: GenerationService

    async def generate(self, request: GenerationRequest, form: Form[Any]) -> Structured:
        """Answer ``request`` as JSON, or raise one of `app.domain.errors`.

        An answer that can't be made valid is returned all the same: it has been paid for.
        """
        asked = replace(request, turns=_in_form(request.turns, form))
        first = await self.generations.generate(asked)
        try:
            return await _valid(first, form)
        except AnswerError as error:
            # What was cut off would be cut off again, and a guardrail would step in again.
            if first.completion.stop_reason in (StopReason.LENGTH, StopReason.GUARDRAIL):
                return _refused(first, error)
            return await self._again(asked, first, error, form)

    async def _again(
        self, asked: GenerationRequest, first: Generation, error: AnswerError, form: Form[Any]
    ) -> Structured:
        said: Turn[ImageInput] = Turn(Role.ASSISTANT, first.completion.text)
        corrected: Turn[ImageInput] = Turn(Role.USER, correction(error, form.schema))
        try:
            second = await self.generations.generate(
                _second_call(replace(asked, turns=(*asked.turns, said, corrected)))
            )
        except ServiceError:
            # The first answer was paid for: it must not be lost for the second one's failure.
            return _refused(first, error)
        together = _counting(second, first)
        try:
            return await _valid(together, form)
        except AnswerError as still:
            return _refused(together, still)


def _in_form(turns: tuple[Turn[ImageInput], ...], form: Form[Any]) -> tuple[Turn[ImageInput], ...]:
    last = turns[-1]
    return (*turns[:-1], replace(last, text=with_schema(last.text, form.schema).strip()))


def _second_call(request: GenerationRequest) -> GenerationRequest:
    """Return ``request`` under an idempotency key of its own."""
    key = request.terms.idempotency_key
    own = None if key is None else f"{key} again"
    return replace(request, terms=replace(request.terms, idempotency_key=own))


async def _valid(generation: Generation, form: Form[Any]) -> Structured:
    # In a thread: what is looked for may have to be repaired.
    value = await asyncio.to_thread(read, generation.completion.text, form)
    # Not orjson: integers may be longer than 64 bits.
    completion = replace(generation.completion, text=to_json(value, inf_nan_mode="null").decode())
    return Structured(replace(generation, completion=completion))


def _refused(generation: Generation, error: AnswerError) -> Structured:
    return Structured(generation, f"The model's answer is not of the form asked for: {error}")


def _counting(second: Generation, first: Generation) -> Generation:
    """Return ``second`` with the tokens and the time of both."""
    usage = summed([first.completion.usage, second.completion.usage])
    latency = replace(
        second.latency,
        total=first.latency.total + second.latency.total,
        model=first.latency.model + second.latency.model,
    )
    completion = replace(second.completion, usage=usage)
    return replace(second, completion=completion, latency=latency)
