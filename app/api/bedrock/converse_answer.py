"""Renders answers in Converse's form. Pure."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from app.api.bedrock import guardrail
from app.api.bedrock.event_stream import event, exception
from app.domain.generation import (
    Completion,
    Delta,
    Done,
    Failed,
    Generation,
    GenerationEvent,
    GenerationEvents,
    Started,
    StopReason,
)
from app.domain.usage import Usage

_STOP_REASONS = {
    StopReason.LENGTH: "max_tokens",
    StopReason.REPETITION: "max_tokens",
    StopReason.GUARDRAIL: "guardrail_intervened",
}


def answer(generation: Generation) -> dict[str, Any]:
    """Return the body of an answer in one piece."""
    message = {"role": "assistant", "content": [{"text": guardrail.text(generation.completion)}]}
    return {
        "output": {"message": message},
        "stopReason": stop_reason(generation.completion),
        **_facts(generation),
    }


async def encode(events: AsyncIterator[GenerationEvents]) -> AsyncGenerator[bytes]:
    """Encode a stream's events after the first one."""
    yield event("messageStart", {"role": "assistant"})
    async for ready in events:
        yield b"".join(map(_encoded, ready))


def _encoded(happened: GenerationEvent) -> bytes:
    match happened:
        case Delta(text):
            return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})
        case Done(generation):
            completion = generation.completion
            blocked = _encoded(Delta(guardrail.text(completion))) if completion.blocked else b""
            reason = stop_reason(generation.completion)
            return (
                blocked
                + event("contentBlockStop", {"contentBlockIndex": 0})
                + event("messageStop", {"stopReason": reason})
                + event("metadata", _facts(generation))
            )
        case Failed(error):
            return exception(error)
        case Started():
            return b""


def stop_reason(completion: Completion) -> str:
    """Return Converse's stop reason; an unknown reason of Bedrock's is passed through."""
    if guardrail.intervened(completion):
        return "guardrail_intervened"
    if completion.stop_sequence is not None:
        return "stop_sequence"
    if completion.stop_reason is StopReason.OTHER and completion.stop_reason_raw:
        return completion.stop_reason_raw
    return _STOP_REASONS.get(completion.stop_reason, "end_turn")


def _facts(generation: Generation) -> dict[str, Any]:
    report = generation.completion.guardrail
    return {
        "usage": _usage(generation.completion.usage),
        "metrics": {"latencyMs": generation.latency.total},
        **({} if report is None else {"trace": guardrail.trace(report)}),
    }


def _usage(usage: Usage) -> dict[str, int]:
    """Return the known counts; unknown ones are absent, not 0."""
    counts = {
        "inputTokens": usage.prompt_token_count,
        "outputTokens": usage.generation_token_count,
        "totalTokens": usage.total_token_count,
    }
    return {name: count for name, count in counts.items() if count is not None}
