"""The completion that a batch job returned, as its row records it. Pure."""

from typing import Any

from app.domain.generation import Completion, StopReason
from app.domain.usage import Usage


def to_json(completion: Completion) -> dict[str, Any]:
    """Return ``completion`` as JSON."""
    usage = completion.usage
    return {
        "text": completion.text,
        "prompt_tokens": usage.prompt_token_count,
        "generation_tokens": usage.generation_token_count,
        "stop": completion.stop_reason.value,
        "raw": completion.stop_reason_raw,
        "latency_ms": completion.latency_ms,
    }


def from_json(record: dict[str, Any]) -> Completion:
    """Return the completion in ``record``, which `to_json` wrote."""
    return Completion(
        text=record["text"],
        usage=Usage(record["prompt_tokens"], record["generation_tokens"]),
        stop_reason=StopReason(record["stop"]),
        stop_reason_raw=record["raw"],
        latency_ms=record["latency_ms"],
    )
