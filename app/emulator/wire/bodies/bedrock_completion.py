"""The body of InvokeModel that imported models share with older ones: text only."""

from typing import Any

from app.emulator.wire.bodies import native, structured_output, template
from app.emulator.wire.bodies.conversation import (
    Answer,
    Ask,
    BodyFormat,
    LogprobDemand,
    NamedGuardrail,
    TokenScore,
)
from app.emulator.wire.errors import malformed, refused_by_model

_KEYS = ("prompt", "temperature", "top_p", "max_gen_len", "response_format", "return_logprobs")


def parse(fields: dict[str, Any], guarded: NamedGuardrail | None) -> Ask:
    """Return the question in the body, or raise a 400."""
    native.check(fields, _KEYS, guarded)
    prompt, wanted = fields["prompt"], fields.get("return_logprobs") or False
    if not isinstance(wanted, bool):
        raise malformed("#/return_logprobs: expected type: Boolean")
    if template.IMAGE in prompt:
        raise refused_by_model("this format takes text only: send pictures as a chat completion.")
    return Ask(
        prompt=prompt,
        turns=template.turns(prompt),
        sampling=native.sampling(fields),
        guarded=guarded,
        format=BodyFormat.BEDROCK_COMPLETION,
        constraint=structured_output.constraint(fields, bare_schema=True),
        logprobs=LogprobDemand(top=1) if wanted else None,
    )


def rendered(ask: Ask, answer: Answer) -> dict[str, Any]:
    """Return the body of a whole answer."""
    return {**native.rendered(answer), **_logprobs(ask, answer.scores)}


def chunk(ask: Ask, answer: Answer, index: int) -> dict[str, Any]:
    """Return the body of one chunk of a streamed answer."""
    scores = answer.scores[index : index + 1]
    return {**native.chunk(answer, index), **_logprobs(ask, scores)}


def _logprobs(ask: Ask, scores: tuple[TokenScore, ...]) -> dict[str, Any]:
    if ask.logprobs is None:
        return {}
    return {"logprobs": [{str(score.id): score.logprob} for score in scores]}
