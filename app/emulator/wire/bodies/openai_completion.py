"""OpenAI's completion: a text prompt with ``max_tokens``, as an imported model takes it."""

import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from app.emulator.wire.bodies import native, openai, structured_output, template
from app.emulator.wire.bodies.conversation import (
    Answer,
    Ask,
    BodyFormat,
    NamedGuardrail,
    TokenScore,
)
from app.emulator.wire.errors import refused_by_model

_KEYS = openai.SHARED_KEYS | {"prompt", "echo", "best_of", "suffix"}


def parse(fields: dict[str, Any], guarded: NamedGuardrail | None) -> Ask:
    """Return the question in a completion, or raise a 400."""
    openai.check_keys(fields, _KEYS)
    prompt = fields["prompt"]
    if not isinstance(prompt, str) or not prompt.strip():
        raise refused_by_model("prompt must be a string that is not empty.")
    if template.IMAGE in prompt:
        raise refused_by_model("this format takes text only: send pictures as a chat completion.")
    if fields.get("echo") or fields.get("suffix") or fields.get("best_of") not in (None, 1):
        raise refused_by_model("echo, suffix and best_of are not supported.")
    return Ask(
        prompt=prompt,
        turns=template.turns(prompt),
        sampling=openai.sampling(fields),
        guarded=guarded,
        format=BodyFormat.OPENAI_COMPLETION,
        constraint=structured_output.constraint(fields, bare_schema=False),
        logprobs=openai.demand(_top(fields.get("logprobs")), openai.prompt_logprobs(fields)),
    )


def _top(value: object) -> int | None:
    if value is None or value is False:
        return None
    # ``true`` counts as 1.
    return openai.whole(int(value) if value is True else value, "logprobs", 0, openai.MAX_LOGPROBS)


def rendered(ask: Ask, answer: Answer, model: str) -> dict[str, Any]:
    """Return the body of a completion."""
    return {
        **openai.identity("cmpl", "text_completion", model, round(time.time())),
        "choices": [
            {
                "index": 0,
                "text": answer.text,
                "logprobs": _logprobs(ask, answer.scores, 0),
                "finish_reason": openai.finish_reason(answer),
                "stop_reason": None,
                "prompt_logprobs": openai.prompt_scores(answer),
            }
        ],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": openai.usage(answer),
        "kv_transfer_params": None,
        **native.guarded(answer),
    }


def _logprobs(ask: Ask, scores: tuple[TokenScore, ...], offset: int) -> dict[str, Any] | None:
    if ask.logprobs is None or ask.logprobs.top is None:
        return None
    offsets = accumulate((len(score.token) for score in scores), initial=offset)
    return {
        "text_offset": list(offsets)[:-1],
        "token_logprobs": [score.logprob for score in scores],
        "tokens": [score.token for score in scores],
        "top_logprobs": [{top.token: top.logprob for top in score.top} for score in scores],
    }


def chunks(ask: Ask, answer: Answer, model: str) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed completion: text, end, usage."""
    head = openai.identity("cmpl", "text_completion", model, round(time.time()))
    offset = 0
    for index, piece in enumerate(answer.pieces):
        scores = answer.scores[index : index + 1]
        yield _chunk(head, piece, _logprobs(ask, scores, offset), None)
        offset += len(piece)
    yield {**_chunk(head, "", None, openai.finish_reason(answer)), **native.guarded(answer)}
    yield {**head, "choices": [], "usage": openai.usage(answer)}


def _chunk(
    head: dict[str, Any], text: str, logprobs: dict[str, Any] | None, reason: str | None
) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}
    return {**head, "choices": [{**choice, "stop_reason": None}]}
