"""The Converse operation's request and answer. Pure.

Bedrock renders the model's template itself, so texts go as they are but for special tokens,
which are neutralised here too: that Bedrock escapes them is not documented.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from pybase64 import b64encode

from app.adapters.bedrock.codecs import guard, llama
from app.adapters.bedrock.codecs.event_stream import Frame
from app.adapters.bedrock.codecs.json import loads, member, number
from app.domain.errors import InvalidParameterError, UpstreamAnswerError
from app.domain.generation import (
    Completion,
    Delta,
    Finish,
    ModelRequest,
    StopReason,
    StreamPart,
    Turn,
)
from app.domain.image import PreparedImage
from app.domain.usage import Usage

if TYPE_CHECKING:
    from types_aiobotocore_bedrock_runtime.type_defs import ContentBlockTypeDef, MessageTypeDef

_STOP_REASONS = {
    "end_turn": StopReason.STOP,
    "stop_sequence": StopReason.STOP,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.LENGTH,
    "guardrail_intervened": StopReason.GUARDRAIL,
    "content_filtered": StopReason.GUARDRAIL,
}


def to_converse(request: ModelRequest, *, streamed: bool = False) -> dict[str, Any]:
    """Return the operation's parameters but for the model id."""
    if request.raw_prompt:
        raise InvalidParameterError.at(
            "raw_prompt",
            "in the converse dialect Bedrock writes the template, from messages (Converse, "
            "/v1/chat/completions); a raw prompt needs the invoke dialect",
        )
    parameters: dict[str, Any] = {
        "messages": [_message(turn) for turn in request.turns],
        "inferenceConfig": {
            "maxTokens": request.sampling.max_gen_len,
            "temperature": request.sampling.temperature,
            "topP": request.sampling.top_p,
        },
    }
    if request.system:
        parameters["system"] = [{"text": llama.neutralise(request.system)}]
    if request.guardrail is not None:
        parameters["guardrailConfig"] = guard.config(request.guardrail, streamed=streamed)
    return parameters


def to_body(request: ModelRequest, *, streamed: bool = False) -> tuple[bytes, ...]:
    """Return the operation's JSON body, as the SDK would make it of the parameters."""
    return (orjson.dumps(to_converse(request, streamed=streamed), default=_base64),)


def _base64(picture: bytes) -> str:
    return b64encode(picture).decode()


def _message(turn: Turn[PreparedImage]) -> "MessageTypeDef":
    content: list[ContentBlockTypeDef] = [
        {"image": {"format": _format(image), "source": {"bytes": image.data}}}
        for image in turn.images
    ]
    # Bedrock refuses a blank text block.
    if turn.text.strip():
        content.append({"text": llama.neutralise(turn.text)})
    return {"role": turn.role.value, "content": content}


def _format(image: PreparedImage) -> Any:  # noqa: ANN401 - a Literal of the stubs, a str of ours
    return image.media_type.short_name


def from_converse(body: bytes) -> Completion:
    """Read an answer's body, or raise UpstreamAnswerError. Only the text is indispensable."""
    try:
        answer = loads(body)
    except ValueError as error:
        raise UpstreamAnswerError("Bedrock's answer is not JSON") from error
    blocks = member(member(answer, "output"), "message").get("content")
    if not isinstance(blocks, list):
        raise UpstreamAnswerError("Bedrock's answer holds no message")
    raw = answer.get("stopReason")
    return Completion(
        text=llama.whole("".join([_text(block) for block in blocks])),
        usage=usage(member(answer, "usage")),
        stop_reason=stop_reason(raw),
        stop_reason_raw=None if raw is None else str(raw),
        latency_ms=number(member(answer, "metrics").get("latencyMs")),
        guardrail=guard.converse_report(answer, raw),
    )


def _text(block: object) -> str:
    text = block.get("text") if isinstance(block, dict) else None
    return text if isinstance(text, str) else ""


@dataclass(slots=True)
class StreamDecoder:
    """Reads the events of a ConverseStream in their order.

    ``metadata`` with the counts comes after ``messageStop``; a stream that ends between the
    two has ended well, but for its counts.
    """

    finished: bool = False
    _stop: str | None = None
    _text: llama.WholeText = field(default_factory=llama.WholeText)

    def feed(self, frame: Frame) -> Iterator[StreamPart]:
        """Yield the stream events of one event, or raise UpstreamAnswerError; skip unknown ones."""
        match frame.headers.get(":event-type"):
            case "contentBlockDelta":
                yield from self._delta(str(member(_said(frame), "delta").get("text") or ""))
            case "messageStop":
                self._stop = str(_said(frame).get("stopReason") or "")
                yield from self._delta("", last=True)
            case "metadata" if self._stop is not None:
                self.finished = True
                yield self._finish(_said(frame))

    def end(self) -> Iterator[StreamPart]:
        """Yield the events that remain when the upstream has ended."""
        if self._stop is not None and not self.finished:
            self.finished = True
            yield self._finish({})

    def _delta(self, text: str, *, last: bool = False) -> Iterator[StreamPart]:
        if whole := self._text.feed(text, last=last):
            yield Delta(whole)

    def _finish(self, metadata: Mapping[str, Any]) -> Finish:
        return Finish(
            usage(member(metadata, "usage")),
            stop_reason(self._stop),
            self._stop or None,
            number(member(metadata, "metrics").get("latencyMs")),
            guardrail=guard.converse_report(metadata, self._stop),
        )


def _said(frame: Frame) -> Mapping[str, Any]:
    try:
        said = loads(frame.payload)
    except ValueError as error:
        raise UpstreamAnswerError("an event of Bedrock's stream is not JSON") from error
    if not isinstance(said, dict):
        raise UpstreamAnswerError("an event of Bedrock's stream is not an object")
    return said


def stop_reason(raw: object) -> StopReason:
    """Map Converse's ``stopReason``; unknown ones become OTHER."""
    return _STOP_REASONS.get(str(raw), StopReason.OTHER)


def usage(counts: Mapping[str, Any]) -> Usage:
    """Map Converse's ``usage``."""
    return Usage(number(counts.get("inputTokens")), number(counts.get("outputTokens")))
