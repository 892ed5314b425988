"""The stored form of batch jobs' completions, which are kept with their rows. Pure."""

from typing import Any

from app.domain.generation import Completion, StopReason
from app.domain.usage import Usage


def written(completion: Completion) -> dict[str, Any]:
    """Return the whole ``completion`` as JSON values."""
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
    """Return the completion stored by `written`."""
    return Completion(
        text=kept["text"],
        usage=Usage(kept["prompt_tokens"], kept["generation_tokens"]),
        stop_reason=StopReason(kept["stop"]),
        stop_reason_raw=kept["raw"],
        latency_ms=kept["latency_ms"],
    )
