"""The native Llama body of InvokeModel. Pure.

Request: ``prompt``, ``images`` (plain base64), ``temperature``, ``top_p``, ``max_gen_len``.
Answer: ``generation``, ``prompt_token_count``, ``generation_token_count``, ``stop_reason``.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import pybase64

from app.adapters.bedrock import llama
from app.domain.errors import UpstreamAnswerError
from app.domain.generation import Completion, ModelRequest, StopReason, Usage

_STOP_REASONS = {"stop": StopReason.STOP, "length": StopReason.LENGTH}


def to_invoke(request: ModelRequest) -> bytes:
    """Return the JSON body."""
    body: dict[str, Any] = {
        "prompt": llama.render(request),
        "max_gen_len": request.sampling.max_gen_len,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
    }
    images = [image for turn in request.turns for image in turn.images]
    if images:
        body["images"] = [pybase64.b64encode_as_string(image.data) for image in images]
    return orjson.dumps(body)


def from_invoke(body: bytes, headers: Mapping[str, str]) -> Completion:
    """Read an answer's body and (lower-case) headers, or raise UpstreamAnswerError.

    Only the text is indispensable; a count that is missing in the body is taken from the
    headers, and is None where neither has it.
    """
    try:
        answer = orjson.loads(body)
        text = answer["generation"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UpstreamAnswerError("Bedrock's answer is not a Llama generation") from error
    return Completion(
        text=str(text),
        usage=Usage(
            _count(answer, "prompt_token_count", headers, "input-token-count"),
            _count(answer, "generation_token_count", headers, "output-token-count"),
        ),
        stop_reason=stop_reason(answer),
        stop_reason_raw=_text(answer.get("stop_reason")),
        latency_ms=_number(headers.get("x-amzn-bedrock-invocation-latency")),
    )


def stop_reason(answer: Mapping[str, Any]) -> StopReason:
    """Map an answer's ``stop_reason`` and guardrail action; unknown ones become OTHER."""
    if answer.get("amazon-bedrock-guardrailAction") == "INTERVENED":
        return StopReason.GUARDRAIL
    return _STOP_REASONS.get(str(answer.get("stop_reason")), StopReason.OTHER)


def _count(
    answer: Mapping[str, Any], field: str, headers: Mapping[str, str], header: str
) -> int | None:
    found = _number(answer.get(field))
    return found if found is not None else _number(headers.get(f"x-amzn-bedrock-{header}"))


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
