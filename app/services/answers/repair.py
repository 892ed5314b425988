"""Asks for an answer in a form, reads it, and repairs it by at most one more call."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from app.domain.errors import OutputFormRefusedError, ServiceError
from app.domain.generation import (
    CallContext,
    Completion,
    Generation,
    GenerationRequest,
    ImageInput,
    Role,
    StopReason,
    Turn,
)
from app.domain.image import AnswerWarning
from app.domain.usage import Usage
from app.services.answers.enforcement import Enforced, Enforcement
from app.services.answers.executor import AnswerReader
from app.services.answers.form import Form
from app.services.answers.instruction import correction, with_form
from app.services.answers.probability import TOP, Chance, Measure, chances, chosen
from app.services.answers.reading import ENDS
from app.services.answers.schemas.beginning import beginning, whole
from app.services.answers.text.notes import AnswerError, Reading
from app.services.answers.text.repetition import loop
from app.services.concurrency.deadline import Drain
from app.telemetry import current

AnswerT = TypeVar("AnswerT")

Ask = Callable[[GenerationRequest], Awaitable[Generation]]

WARM = 0.7
"""Minimum temperature of a repair after a loop, since at 0 the answer would loop again."""
MILD = 0.4
"""Minimum temperature of other repairs, since at 0 the answer would likely be the same."""
SHOWN = 8_000
"""Maximum characters of an invalid answer that the repair prompt shows."""


@dataclass(frozen=True, slots=True)
class Formed(Generic[AnswerT]):
    """The outcome of one question in a form."""

    generations: tuple[Generation, ...]
    """The model's one or two raw answers, all of them paid for."""
    reading: Reading[AnswerT] | None = None
    """The answer that was read; None if no raw answer could be read."""
    faults: tuple[str, ...] = ()
    """Why ``reading`` is None."""
    chances: Mapping[str, Chance] = field(default_factory=dict)
    """The probabilities of the answer's measured values by key, as far as they are known."""
    lost: Usage | None = None
    """Usage paid for a failed repair, such as one that a guardrail blocked."""

    @property
    def repaired(self) -> bool:
        """Return whether a second call was made."""
        return len(self.generations) > 1


NOT_ENFORCED = AnswerWarning(
    "form_not_enforced",
    "The upstream can't enforce this schema while it generates; the prompt asked for it instead, "
    "and the answer is checked as always.",
)


@dataclass(frozen=True, slots=True)
class FormAsker:
    """Makes the model answer in a form.

    If the upstream can, it enforces the form during generation, and the prompt is shorter.
    Otherwise the prompt describes the form.
    """

    generate: Ask
    reader: AnswerReader
    drain: Drain
    enforcement: Enforcement = field(default_factory=Enforcement)

    async def ask(
        self,
        request: GenerationRequest,
        form: Form[AnswerT],
        measures: Sequence[Measure] = (),
        *,
        once: bool = False,
    ) -> Formed[AnswerT]:
        """Return the answer to ``request``, or raise one of `app.domain.errors` by the first call.

        An answer that can't be read is still returned, with its faults, because it has been paid
        for. A refusal is not a fault of form and is not repaired. ``measures`` are values whose
        probabilities are requested. With ``once`` there is no repair.
        """
        if measures:
            request = replace(request, logprobs=TOP if any(m.options for m in measures) else 0)
        enforced = self.enforcement.enforced(form.schema)
        if enforced is None:
            prompted = _prompted(request, form)
            if self.enforcement.capabilities.begun:
                prompted = replace(prompted, begun=beginning(form.schema))
            question = _Question(prompted, form, measures, once=once)
            return _noted(await self._ask(question))
        if not self.enforcement.refused(enforced):
            enforcing = _enforcing(request, enforced)
            try:
                question = _Question(enforcing, form, measures, enforced, once)
                return _noted(await self._ask(question))
            except OutputFormRefusedError:
                self.enforcement.refuse(enforced)
                current().forms_refused += 1
        question = _Question(_unenforced(request, form), form, measures, once=once)
        return _noted(await self._ask(question))

    async def _ask(self, question: "_Question[AnswerT]") -> Formed[AnswerT]:
        first = await self._generate(question.request, question.form)
        record = current()
        record.formed_answers += 1
        record.enforced_answers += question.enforced is not None
        try:
            return await self._formed((first,), question)
        except ServiceError as late:
            return Formed((first,), faults=(f"{late.code}: the answer was not read in time",))
        except AnswerError as error:
            stop = first.completion.stop_reason
            if stop is StopReason.GUARDRAIL or (stop in ENDS and not error.looped):
                # A second answer would be cut off or blocked as well.
                return _settled((first,), error.fallback, error.faults, f"ended by {stop}")
            if question.once:
                return _settled((first,), error.fallback, error.faults, "asked once")
            record.repairs += 1
            record.enforced_repairs += question.enforced is not None
            return await self._again(question, first, error)

    async def _generate(self, request: GenerationRequest, form: Form[AnswerT]) -> Generation:
        """Return the model's answer with its prefilled beginning in front."""
        generation = await self.generate(request)
        completion = generation.completion
        text = whole(request.begun, completion.text, completion.stop_reason, form.schema)
        if text is completion.text:
            return generation
        return replace(generation, completion=replace(completion, text=text))

    async def _formed(
        self, generations: tuple[Generation, ...], question: "_Question[AnswerT]"
    ) -> Formed[AnswerT]:
        """Return the reading of the last of ``generations``, or raise AnswerError."""
        completion = generations[-1].completion
        text = question.answer(completion.text)
        async with self.drain.before(question.request.call_context.deadline):
            reading = await self.reader.read(text, question.form, completion.stop_reason)
            return (
                Formed(
                    generations,
                    reading,
                    chances=await self.reader.run(question.chances, completion),
                )
                if question.measures and completion.logprobs
                else Formed(generations, reading)
            )

    async def _again(
        self, question: "_Question[AnswerT]", first: Generation, error: AnswerError
    ) -> Formed[AnswerT]:
        fallback: Reading[AnswerT] | None = error.fallback
        correcting = _correcting(question.request, first.completion, error, question.form)
        try:
            second = await self._generate(correcting, question.form)
        except ServiceError as failure:
            # The first answer is paid for and must not be lost because the second call failed.
            why = f"the repair failed: {failure.code}"
            return replace(_settled((first,), fallback, error.faults, why), lost=failure.usage)
        both = (first, second)
        try:
            return await self._formed(both, question)
        except ServiceError as late:
            return _settled(both, fallback, error.faults, f"the repair failed: {late.code}")
        except AnswerError as still:
            return _settled(both, still.fallback or fallback, still.faults, "also after a repair")


@dataclass(frozen=True, slots=True)
class _Question(Generic[AnswerT]):
    """A request with its form, enforced by the upstream or described in the prompt."""

    request: GenerationRequest
    form: Form[AnswerT]
    measures: Sequence[Measure]
    enforced: Enforced | None = None
    """The enforced form; None if only the prompt describes the form."""
    once: bool = False
    """Whether an answer that can't be read is not repaired."""

    def answer(self, text: str) -> str:
        return text if self.enforced is None else self.enforced.answer(text)

    def chances(self, completion: Completion) -> dict[str, Chance]:
        bare = self.enforced is not None and self.enforced.key is not None
        return (chosen if bare else chances)(completion, self.measures)


def _prompted(request: GenerationRequest, form: Form[AnswerT]) -> GenerationRequest:
    """Return ``request`` with the form described in the prompt."""
    text = request.turns[-1].text
    return _saying(request, with_form(text, form.schema).strip())


def _enforcing(request: GenerationRequest, enforced: Enforced) -> GenerationRequest:
    """Return ``request`` with the form for the upstream to enforce."""
    text = enforced.with_instructions(request.turns[-1].text).strip()
    return replace(_saying(request, text), form=enforced.form)


def _unenforced(request: GenerationRequest, form: Form[AnswerT]) -> GenerationRequest:
    """Return ``request`` with the form in the prompt, after the upstream refused to enforce it."""
    prompted = _prompted(request, form)
    return replace(
        prompted,
        call_context=_apart(prompted.call_context, "in words"),
        warnings=(*prompted.warnings, NOT_ENFORCED),
    )


def _saying(request: GenerationRequest, text: str) -> GenerationRequest:
    *earlier, last = request.turns
    return replace(request, turns=(*earlier, replace(last, text=text)))


def _apart(context: CallContext, which: str) -> CallContext:
    """Return ``context`` with an idempotency key of its own."""
    key = context.idempotency_key
    return context if key is None else replace(context, idempotency_key=f"{key} {which}")


def _settled(
    generations: tuple[Generation, ...],
    fallback: Reading[AnswerT] | None,
    faults: tuple[str, ...],
    why: str,
) -> Formed[AnswerT]:
    """Return the lenient reading of an answer that can't be repaired, or its faults."""
    if fallback is not None:
        return Formed(generations, fallback)
    return Formed(generations, faults=(f"{'; '.join(faults)} ({why})",))


def _correcting(
    request: GenerationRequest, wrong: Completion, error: AnswerError, form: Form[AnswerT]
) -> GenerationRequest:
    """Return the repair request, with an idempotency key of its own."""
    call_context = _apart(request.call_context, "again")
    repeated = loop(wrong.text) if error.looped else None
    text = wrong.text if repeated is None else wrong.text[: repeated.kept]
    sampling = request.sampling
    warmer = WARM if error.looped or not text.strip() else MILD
    sampling = replace(sampling, temperature=max(sampling.temperature, warmer))
    if not text.strip():
        return replace(request, call_context=call_context, sampling=sampling)
    turns: tuple[Turn[ImageInput], ...] = (
        *request.turns,
        Turn(Role.ASSISTANT, text[:SHOWN]),
        Turn(Role.USER, correction(error.faults, form.schema)),
    )
    return replace(request, turns=turns, call_context=call_context, sampling=sampling)


def _noted(formed: Formed[AnswerT]) -> Formed[AnswerT]:
    """Count a refusal in the request's record and return ``formed``."""
    reading = formed.reading
    if reading is not None and reading.refusal is not None:
        record = current()
        record.images_not_seen += reading.refusal.image_not_seen
        record.model_refusals += not reading.refusal.image_not_seen
    return formed
