"""JSON answers: enforced upstream if possible, validated, and repaired at most once."""

from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

from app.domain.generation import Generation, GenerationRequest, Latency
from app.services.answers.form import Form
from app.services.answers.repair import FormAsker, Formed
from app.services.generation.combine import combined


@dataclass(frozen=True, slots=True)
class Structured:
    """An answer in the requested form, or the reason why it misses the form."""

    generation: Generation
    """The generation, whose text is the JSON, or the model's own text if no JSON was valid."""
    refusal: str | None = None
    """The model's refusal, or the fault of an invalid answer; None for a valid one."""
    raw: str | None = None
    """The model's raw texts, of both calls if there were two; None if no form was asked for."""


@dataclass(frozen=True, slots=True)
class StructuredService:
    """Makes the model answer in a form."""

    asker: FormAsker

    async def generate(self, request: GenerationRequest, form: Form[Any]) -> Structured:
        """Answer ``request`` as JSON, or raise one of `app.domain.errors`.

        An answer that can't be made valid is still returned, because it has been paid for.
        """
        formed = await self.asker.ask(request, form)
        generation = _together(formed)
        raw = "\n\n".join(answer.completion.text for answer in formed.generations)
        reading = formed.reading
        if reading is None:
            fault = f"The answer does not have the requested form: {'; '.join(formed.faults)}"
            return Structured(generation, fault, raw)
        if reading.refusal is not None:
            return Structured(generation, reading.refusal.words, raw)
        # orjson can't write integers longer than 64 bits.
        text = to_json(reading.answer, inf_nan_mode="null").decode()
        completion = replace(generation.completion, text=text)
        return Structured(replace(generation, completion=completion), raw=raw)


def _together(formed: Formed[Any]) -> Generation:
    """Return the last answer with the tokens and latencies of all calls added up."""
    last = formed.generations[-1]
    warnings = formed.reading.warnings if formed.reading else ()
    return combined(
        formed.generations,
        id=last.id,
        text=last.completion.text,
        latency=Latency(
            total=sum(answer.latency.total for answer in formed.generations),
            model=sum(answer.latency.model for answer in formed.generations),
            first_token=last.latency.first_token,
        ),
        images=last.images,
        warnings=tuple(dict.fromkeys((*last.warnings, *warnings))),
        stop=last.completion,
        lost=[formed.lost] if formed.lost else (),
    )
