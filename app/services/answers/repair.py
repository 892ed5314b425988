"""An answer in a form: asked for, read, and asked for once more where that may help."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from app.domain.errors import ServiceError
from app.domain.generation import (
    Completion,
    Generation,
    GenerationRequest,
    ImageInput,
    Role,
    StopReason,
    Turn,
)
from app.services.answers.executor import AnswerReader
from app.services.answers.form import Form
from app.services.answers.instruction import correction
from app.services.answers.notes import AnswerError, Reading
from app.services.answers.reading import ENDS
from app.services.answers.repetition import loop
from app.services.concurrency.deadline import Drain
from app.telemetry import current

AnswerT = TypeVar("AnswerT")

Ask = Callable[[GenerationRequest], Awaitable[Generation]]

WARM = 0.7
"""Temperature, at least, of what is asked again after a loop: at 0 it would loop again."""
SHOWN = 8_000
"""Characters of a wrong answer that the model is shown again."""


@dataclass(frozen=True, slots=True)
class Formed(Generic[AnswerT]):
    """What came of one question."""

    generations: tuple[Generation, ...]
    """The answers as the model gave them, one or two, all paid for."""
    reading: Reading[AnswerT] | None = None
    """None where none of them could be read."""
    faults: tuple[str, ...] = ()
    """Why ``reading`` is None."""

    @property
    def repaired(self) -> bool:
        """Whether the answer was asked for again."""
        return len(self.generations) > 1


@dataclass(frozen=True, slots=True)
class FormAsker:
    """Has the model answer in a form."""

    generate: Ask
    reader: AnswerReader
    drain: Drain

    async def ask(self, request: GenerationRequest, form: Form[AnswerT]) -> Formed[AnswerT]:
        """Return the answer to ``request``, or raise one of `app.domain.errors` for the first call.

        An answer that can't be read is returned all the same, with what is wrong with it: it has
        been paid for. A refusal is no fault of form, and is not asked about again.
        """
        first = await self.generate(request)
        try:
            return _noted(Formed((first,), await self._read(first, request, form)))
        except ServiceError as late:
            return Formed((first,), faults=(f"{late.code}: the answer was not read in time",))
        except AnswerError as error:
            stop = first.completion.stop_reason
            if stop is StopReason.GUARDRAIL or (stop in ENDS and not error.looped):
                # It would be cut off again, or the guardrail would step in again.
                return _noted(_settled((first,), error.fallback, error.faults, f"ended by {stop}"))
            return _noted(await self._again(request, first, error, form))

    async def _read(
        self, generation: Generation, request: GenerationRequest, form: Form[AnswerT]
    ) -> Reading[AnswerT]:
        completion = generation.completion
        async with self.drain.before(request.call_context.deadline):
            return await self.reader.read(completion.text, form, completion.stop_reason)

    async def _again(
        self,
        request: GenerationRequest,
        first: Generation,
        error: AnswerError,
        form: Form[AnswerT],
    ) -> Formed[AnswerT]:
        fallback: Reading[AnswerT] | None = error.fallback
        try:
            second = await self.generate(_correcting(request, first.completion, error, form))
        except ServiceError as failure:
            # The first answer was paid for: it must not be lost for the second one's failure.
            return _settled((first,), fallback, error.faults, f"the repair failed: {failure.code}")
        both = (first, second)
        try:
            return Formed(both, await self._read(second, request, form))
        except ServiceError as late:
            return _settled(both, fallback, error.faults, f"the repair failed: {late.code}")
        except AnswerError as still:
            return _settled(both, still.fallback or fallback, still.faults, "also after a repair")


def _settled(
    generations: tuple[Generation, ...],
    fallback: Reading[AnswerT] | None,
    faults: tuple[str, ...],
    why: str,
) -> Formed[AnswerT]:
    """Return what can be said where the model can't do better."""
    if fallback is not None:
        return Formed(generations, fallback)
    return Formed(generations, faults=(f"{'; '.join(faults)} ({why})",))


def _correcting(
    request: GenerationRequest, said: Completion, error: AnswerError, form: Form[AnswerT]
) -> GenerationRequest:
    """Return the second request, under an idempotency key of its own."""
    key = request.call_context.idempotency_key
    call_context = replace(
        request.call_context, idempotency_key=None if key is None else f"{key} again"
    )
    repeated = loop(said.text) if error.looped else None
    text = said.text if repeated is None else said.text[: repeated.kept]
    sampling = request.sampling
    if error.looped or not text.strip():
        sampling = replace(sampling, temperature=max(sampling.temperature, WARM))
    if not text.strip():
        return replace(request, call_context=call_context, sampling=sampling)
    turns: tuple[Turn[ImageInput], ...] = (
        *request.turns,
        Turn(Role.ASSISTANT, text[:SHOWN]),
        Turn(Role.USER, correction(error.faults, form.schema)),
    )
    return replace(request, turns=turns, call_context=call_context, sampling=sampling)


def _noted(formed: Formed[AnswerT]) -> Formed[AnswerT]:
    """Count a refusal."""
    reading = formed.reading
    if reading is not None and reading.refusal is not None:
        record = current()
        record.images_not_seen += reading.refusal.image_not_seen
        record.model_refusals += not reading.refusal.image_not_seen
    return formed
