"""The common part of OpenAI's two bodies for imported models."""

from typing import Any
from uuid import uuid4

from app.emulator.wire.bodies.conversation import Answer, LogprobDemand, Sampling, TokenScore
from app.emulator.wire.errors import refused_by_model

MAX_CONTEXT = 131_072
"""Tokens of prompt and answer together."""
MAX_LOGPROBS = 20
SHARED_KEYS = frozenset(
    {
        "model",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "stop",
        "seed",
        "n",
        "prompt_logprobs",
        "logprobs",
        "response_format",
        "structured_outputs",
        "stream",
        "stream_options",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "user",
    }
)


def check_keys(fields: dict[str, Any], known: frozenset[str]) -> None:
    """Raise the 400 for keys that are not documented."""
    if fields.get("tools") or fields.get("tool_choice"):
        raise refused_by_model("This model doesn't support tool use.")
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise refused_by_model(f"Extra inputs are not permitted: {', '.join(unknown)}")
    if fields.get("n") not in (None, 1):
        raise refused_by_model("n must be 1.")


def sampling(fields: dict[str, Any]) -> Sampling:
    """Return how the answer is drawn, or raise a 400 for a value out of its range."""
    length = fields.get("max_completion_tokens", fields.get("max_tokens"))
    return Sampling(
        temperature=_number(fields, "temperature", 1.0, 2),
        top_p=_number(fields, "top_p", 1.0, 1),
        max_gen_len=MAX_CONTEXT if length is None else whole(length, "max_tokens", 1, MAX_CONTEXT),
        stop_sequences=_stops(fields.get("stop")),
    )


def _number(fields: dict[str, Any], key: str, default: float, most: float) -> float:
    value = fields.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise refused_by_model(f"{key} must be a number between 0 and {most}, got {value!r}.")
    return float(value)


def whole(value: object, key: str, least: int, most: int) -> int:
    """Return an integer within its bounds, or raise a 400."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused_by_model(
            f"{key} must be an integer between {least} and {most}, got {value!r}."
        )
    return value


def _stops(value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value or []
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise refused_by_model("stop must be a string or a list of non-empty strings.")
    return tuple(values)


def prompt_logprobs(fields: dict[str, Any]) -> int | None:
    """Return how many alternatives each token of the prompt is to have, None for none."""
    value = fields.get("prompt_logprobs")
    return None if value is None else whole(value, "prompt_logprobs", 0, MAX_LOGPROBS)


def demand(top: int | None, prompt: int | None) -> LogprobDemand | None:
    """Return which log probabilities are wanted, None if none are."""
    return None if top is None and prompt is None else LogprobDemand(top, prompt)


def finish_reason(answer: Answer) -> str:
    """Return OpenAI's word for why a generation ended."""
    return "length" if answer.stop == "length" else "stop"


def usage(answer: Answer) -> dict[str, Any]:
    """Return the token counts; those of pictures are in ``prompt_tokens``."""
    generated = len(answer.pieces)
    return {
        "prompt_tokens": answer.prompt_tokens,
        "total_tokens": answer.prompt_tokens + generated,
        "completion_tokens": generated,
        "prompt_tokens_details": None,
    }


def identity(prefix: str, kind: str, model: str, created: int) -> dict[str, Any]:
    """Return the members that open every reply and every chunk."""
    return {"id": f"{prefix}-{uuid4().hex}", "object": kind, "created": created, "model": model}


def prompt_scores(answer: Answer) -> list[dict[str, Any] | None] | None:
    """Return the prompt's log probabilities by token id; the first token has none."""
    if answer.prompt_scores is None:
        return None
    return [None, *(_by_id(score) for score in answer.prompt_scores[1:])]


def _by_id(score: TokenScore) -> dict[str, Any]:
    return {
        str(entry.id): {"logprob": entry.logprob, "rank": rank, "decoded_token": entry.token}
        for rank, entry in enumerate(score.top, 1)
    }
