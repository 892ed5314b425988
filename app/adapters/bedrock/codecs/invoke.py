"""The native Llama body of InvokeModel. Pure.

Request: ``prompt``, ``images`` (plain base64), ``temperature``, ``top_p``, ``max_gen_len``.
Answer: ``generation``, ``prompt_token_count``, ``generation_token_count``, ``stop_reason``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pybase64 import b64encode

from app.adapters.bedrock.codecs import guard, llama
from app.adapters.bedrock.codecs.event_stream import Frame, chunk
from app.adapters.bedrock.codecs.json import loads, member, number
from app.domain.errors import UpstreamAnswerError
from app.domain.generation import Completion, Delta, Finish, ModelRequest, StopReason, StreamPart
from app.domain.usage import Usage

_METRICS = "amazon-bedrock-invocationMetrics"
_STOP_REASONS = {"stop": StopReason.STOP, "length": StopReason.LENGTH}


def to_invoke(request: ModelRequest) -> tuple[bytes, ...]:
    """Return the JSON body, in pieces: joined, a picture would be copied once more."""
    body: dict[str, Any] = {
        "prompt": llama.render(request),
        "max_gen_len": request.sampling.max_gen_len,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
    }
    rest = orjson.dumps(body)
    images = [image.data for turn in request.turns for image in turn.images]
    if not images:
        return (rest,)
    # Base64 needs no escaping: put in as it is, it is written once instead of three times.
    pieces = [rest[:-1] + b',"images":["']
    for image in images:
        pieces += (b64encode(image), b'","')
    return (*pieces[:-1], b'"]}')


def from_invoke(body: bytes, headers: Mapping[str, str]) -> Completion:
    """Read an answer's body and (lower-case) headers, or raise UpstreamAnswerError.

    Only the text is indispensable; a count that is missing in the body is taken from the
    headers, and is None if neither has it.
    """
    try:
        answer = loads(body)
        text = answer["generation"]
    except (ValueError, KeyError, TypeError) as error:
        raise UpstreamAnswerError("Bedrock's answer is not a Llama generation") from error
    return Completion(
        text=llama.whole("" if text is None else str(text)),
        usage=Usage(
            _count(answer, "prompt_token_count", headers, "input-token-count"),
            _count(answer, "generation_token_count", headers, "output-token-count"),
        ),
        stop_reason=stop_reason(answer),
        stop_reason_raw=_text(answer.get("stop_reason")),
        latency_ms=number(headers.get("x-amzn-bedrock-invocation-latency")),
        guardrail=guard.report(answer) if guard.TRACE in answer else None,
    )


@dataclass(slots=True)
class StreamDecoder:
    """Reads the chunks of an InvokeModel stream in their order.

    The first carries the prompt's count, later ones null; the generation's count is
    cumulative; the last has ``stop_reason`` and may still carry text.
    """

    usage: Usage = field(default_factory=Usage)
    finished: bool = False
    _text: llama.WholeText = field(default_factory=llama.WholeText)

    def feed(self, frame: Frame) -> Iterator[StreamPart]:
        """Yield the events of one chunk, or raise UpstreamAnswerError."""
        try:
            answer = loads(chunk(frame))
            last = answer.get("stop_reason") is not None
            text = self._text.feed(str(answer.get("generation") or ""), last=last)
        except (ValueError, AttributeError, TypeError) as error:
            raise UpstreamAnswerError("a chunk of Bedrock's stream is not JSON") from error
        self.usage = self._count(answer)
        if text:
            yield Delta(text, self.usage)
        if last:
            self.finished = True
            metrics = member(answer, _METRICS)
            yield Finish(
                self.usage,
                stop_reason(answer),
                _text(answer.get("stop_reason")),
                number(metrics.get("invocationLatency")),
                guardrail=guard.report(answer) if guard.TRACE in answer else None,
            )

    def end(self) -> Iterator[StreamPart]:
        """Yield nothing: a stream without its last chunk has not finished."""
        return iter(())

    def _count(self, answer: Mapping[str, Any]) -> Usage:
        before = self.usage
        prompt, generated = answer.get("prompt_token_count"), answer.get("generation_token_count")
        if prompt is None and _METRICS not in answer:
            # As most chunks are: not the first, and not the last.
            return Usage(
                before.prompt_token_count, _known(generated, None, before.generation_token_count)
            )
        metrics = member(answer, _METRICS)
        return Usage(
            _known(prompt, metrics.get("inputTokenCount"), before.prompt_token_count),
            _known(generated, metrics.get("outputTokenCount"), before.generation_token_count),
        )


def stop_reason(answer: Mapping[str, Any]) -> StopReason:
    """Map an answer's ``stop_reason`` and guardrail action; unknown ones become OTHER."""
    if answer.get(guard.ACTION) == guard.INTERVENED:
        return StopReason.GUARDRAIL
    return _STOP_REASONS.get(str(answer.get("stop_reason")), StopReason.OTHER)


def _count(
    answer: Mapping[str, Any], field: str, headers: Mapping[str, str], header: str
) -> int | None:
    count = number(answer.get(field))
    return count if count is not None else number(headers.get(f"x-amzn-bedrock-{header}"))


def _known(stated: object, measured: object, before: int | None) -> int | None:
    for value in (stated, measured):
        if value is not None and (count := number(value)) is not None:
            return count
    return before


def _text(value: object) -> str | None:
    return None if value is None else str(value)
