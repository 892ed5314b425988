"""Completions of batch jobs as they are kept with their rows, which are ended later. Pure."""

from typing import Any

from app.domain.generation import Completion, StopReason
from app.domain.usage import Usage


def written(completion: Completion) -> dict[str, Any]:
    """Return all of ``completion`` as JSON has it."""
    usage = completion.usage
    return {
        "text": completion.text,
        "prompt_tokens": usage.prompt_token_count,
        "generation_tokens": usage.generation_token_count,
        "stop": completion.stop_reason.value,
        "raw": completion.stop_reason_raw,
        "latency_ms": completion.latency_ms,
    }


def read(kept: dict[str, Any]) -> Completion:
    """Return the completion that ``written`` wrote down."""
    return Completion(
        text=kept["text"],
        usage=Usage(kept["prompt_tokens"], kept["generation_tokens"]),
        stop_reason=StopReason(kept["stop"]),
        stop_reason_raw=kept["raw"],
        latency_ms=kept["latency_ms"],
    )
