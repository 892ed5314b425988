"""Completions of batch jobs as rows keep them. Pure."""

from typing import Any

from app.domain.generation import Completion, StopReason
from app.domain.usage import Usage


def kept(completion: Completion) -> dict[str, Any]:
    """Return what keeps ``completion``, as JSON has it."""
    usage = completion.usage
    return {
        "text": completion.text,
        "prompt_tokens": usage.prompt_token_count,
        "generation_tokens": usage.generation_token_count,
        "stop": completion.stop_reason.value,
        "raw": completion.stop_reason_raw,
        "latency_ms": completion.latency_ms,
    }


def read(said: dict[str, Any]) -> Completion:
    """Return the completion that ``said`` keeps."""
    return Completion(
        text=said["text"],
        usage=Usage(said["prompt_tokens"], said["generation_tokens"]),
        stop_reason=StopReason(said["stop"]),
        stop_reason_raw=said["raw"],
        latency_ms=said["latency_ms"],
    )
