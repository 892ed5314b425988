"""InvokeModel's native Llama bodies, of requests and answers. Pure."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.api.bedrock import event_stream, guardrail
from app.domain.generation import (
    CallContext,
    Completion,
    Delta,
    Done,
    Failed,
    Generation,
    GenerationEvents,
    GenerationRequest,
    Role,
    Sampling,
    StopReason,
    Turn,
)
from app.domain.image import Base64Image
from app.domain.usage import Usage
from app.services.deferred_model import DeferredModel

_STOP_REASONS = {StopReason.LENGTH: "length", StopReason.REPETITION: "length"}


class InvokeIn(DeferredModel):
    """A prompt that is already in the Llama template, with one ``<|image|>`` per picture."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str
    images: list[str] | None = None
    temperature: Annotated[float | None, Field(ge=0, le=1)] = None
    top_p: Annotated[float | None, Field(ge=0, le=1)] = None
    max_gen_len: Annotated[int | None, Field(ge=1, le=2048)] = None

    def to_request(self, call_context: CallContext) -> GenerationRequest:
        """Return the domain's request."""
        images = tuple(
            Base64Image(text, None, f"images.{i}") for i, text in enumerate(self.images or ())
        )
        default = Sampling()
        return GenerationRequest(
            turns=(Turn(Role.USER, self.prompt, images),),
            sampling=Sampling(
                default.temperature if self.temperature is None else self.temperature,
                default.top_p if self.top_p is None else self.top_p,
                self.max_gen_len or default.max_gen_len,
            ),
            raw_prompt=True,
            shows_blocked=True,
            call_context=call_context,
        )


def answer(generation: Generation) -> dict[str, Any]:
    """Return the body of an answer in one piece."""
    completion = generation.completion
    return {
        "generation": guardrail.text(completion),
        "prompt_token_count": completion.usage.prompt_token_count,
        "generation_token_count": completion.usage.generation_token_count,
        "stop_reason": _stop_reason(completion),
        **_guarded(completion),
    }


def headers(generation: Generation) -> dict[str, str]:
    """Return Bedrock's headers with the known token counts and the latency."""
    usage = generation.completion.usage
    counts = {
        "Input-Token-Count": usage.prompt_token_count,
        "Output-Token-Count": usage.generation_token_count,
        "Invocation-Latency": generation.latency.total,
    }
    return {f"X-Amzn-Bedrock-{k}": str(v) for k, v in counts.items() if v is not None}


async def encode(events: AsyncIterator[GenerationEvents]) -> AsyncGenerator[bytes]:
    """Encode a stream's events after the first one."""
    first = True
    async for ready in events:
        frames = []
        for happened in ready:
            match happened:
                case Delta(text, usage):
                    frames.append(event_stream.chunk(_chunk(text, usage, first=first)))
                    first = False
                case Done(generation):
                    frames.append(event_stream.chunk(_last(generation, first=first)))
                case Failed(error):
                    frames.append(event_stream.exception(error))
        yield b"".join(frames)


def _chunk(text: str, usage: Usage, *, first: bool) -> dict[str, Any]:
    return {
        "generation": text,
        "prompt_token_count": usage.prompt_token_count if first else None,
        "generation_token_count": usage.generation_token_count,
        "stop_reason": None,
    }


def _last(generation: Generation, *, first: bool) -> dict[str, Any]:
    completion, latency = generation.completion, generation.latency
    metrics = {
        "inputTokenCount": completion.usage.prompt_token_count,
        "outputTokenCount": completion.usage.generation_token_count,
        "invocationLatency": latency.total,
        "firstByteLatency": latency.first_token,
    }
    return {
        **_chunk(
            guardrail.text(completion) if completion.blocked else "", completion.usage, first=first
        ),
        "stop_reason": _stop_reason(completion),
        **_guarded(completion),
        "amazon-bedrock-invocationMetrics": {k: v for k, v in metrics.items() if v is not None},
    }


def _stop_reason(completion: Completion) -> str:
    """Return Llama's stop reason; an unknown reason of Bedrock's is passed through."""
    if completion.stop_reason is StopReason.OTHER and completion.stop_reason_raw:
        return completion.stop_reason_raw
    return _STOP_REASONS.get(completion.stop_reason, "stop")


def _guarded(completion: Completion) -> dict[str, Any]:
    report = completion.guardrail
    if completion.stop_reason is StopReason.GUARDRAIL or guardrail.intervened(completion):
        action = "INTERVENED"
    elif report is not None:
        action = "NONE"
    else:
        return {}
    traced = {} if report is None else {"amazon-bedrock-trace": guardrail.trace(report)}
    return {"amazon-bedrock-guardrailAction": action, **traced}
