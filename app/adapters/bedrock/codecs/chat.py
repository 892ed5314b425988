"""OpenAI's chat completion, the body in which imported models see pictures. Pure.

Bedrock takes it on InvokeModel; other servers take it over plain HTTPS. Read leniently and sent
strictly: the shape of the stream stands in no page of AWS's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pybase64 import b64encode

from app.adapters.bedrock.codecs import guard, llama
from app.adapters.bedrock.codecs.chat_logprobs import logprobs
from app.adapters.bedrock.codecs.json import dumps, loads, member, number
from app.domain.errors import InvalidParameterError, ModelFailedError, UpstreamAnswerError
from app.domain.generation import (
    Completion,
    Delta,
    Finish,
    ModelRequest,
    StopReason,
    StreamPart,
    Turn,
)
from app.domain.guardrail import GuardrailReport
from app.domain.image import PreparedImage
from app.domain.model import Capabilities
from app.domain.output import Choice, JsonObject, JsonSchema, OutputForm, TokenLogprob
from app.domain.usage import Usage

_STOP_REASONS = {
    "stop": StopReason.STOP,
    "length": StopReason.LENGTH,
    "content_filter": StopReason.GUARDRAIL,
}
_SHORT = 2**16
"""Bytes up to which copying a piece is cheaper than a write of its own."""
DONE = "[DONE]"
"""The end of OpenAI's streams."""


def to_chat(request: ModelRequest, capabilities: Capabilities, **more: object) -> tuple[bytes, ...]:
    """Return the JSON body, in pieces: joined, a picture would be copied once more.

    ``more`` are further members. What ``capabilities`` lack is left out.
    """
    if request.raw_prompt:
        raise InvalidParameterError.at(
            "raw_prompt",
            "in the chat dialect the upstream writes the template, from messages (Converse, "
            "/v1/chat/completions); a raw prompt needs the invoke dialect",
        )
    rest = dumps({**more, **_parameters(request, capabilities)})
    pieces = [rest[:-1] + b',"messages":[']
    for message in _messages(request):
        pieces += (*message, b",")
    pieces[-1] = b"]}"
    return tuple(_joined(pieces))


def _parameters(request: ModelRequest, capabilities: Capabilities) -> dict[str, object]:
    parameters: dict[str, object] = {
        "max_tokens": request.sampling.max_gen_len,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
    }
    if capabilities.stop and request.stop:
        parameters["stop"] = list(request.stop)
    if request.form is not None:
        parameters |= _form(request.form, capabilities)
    if capabilities.logprobs and request.logprobs is not None:
        parameters["logprobs"] = True
        if request.logprobs:
            parameters["top_logprobs"] = request.logprobs
    return parameters


def _form(form: OutputForm, capabilities: Capabilities) -> dict[str, object]:
    match form:
        case JsonObject() if capabilities.structured_output:
            return {"response_format": {"type": "json_object"}}
        case JsonSchema(name, schema) if capabilities.structured_output:
            named = {"name": name, "schema": schema}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        case Choice(options) if capabilities.choice:
            return {"structured_outputs": {"choice": list(options)}}
        case _:
            return {}


def _messages(request: ModelRequest) -> Iterator[Iterator[bytes]]:
    """Yield each message's pieces. Beside pictures a system text goes into the first turn.

    Meta's own template raises an error for a system turn there.
    """
    first, *others = request.turns
    if request.system and any(turn.images for turn in request.turns):
        first = Turn(first.role, f"{request.system}\n\n{first.text}".strip(), first.images)
    elif request.system:
        yield iter((_plain("system", request.system),))
    yield from map(_message, (first, *others))


def _plain(role: str, text: str) -> bytes:
    return dumps({"role": role, "content": llama.neutralise(text)})


def _message(turn: Turn[PreparedImage]) -> Iterator[bytes]:
    if not turn.images:
        yield _plain(turn.role.value, turn.text)
        return
    yield b'{"role":"%b","content":[' % turn.role.value.encode()
    for position, image in enumerate(turn.images):
        start = b"," if position else b""
        kind = image.media_type.value.encode()
        # Base64 needs no escaping: put in as it is, it is written once instead of three times.
        yield start + b'{"type":"image_url","image_url":{"url":"data:%b;base64,' % kind
        yield b64encode(image.data)
        yield b'"}}'
    if turn.text.strip():
        yield b',{"type":"text","text":%b}' % dumps(llama.neutralise(turn.text))
    yield b"]}"


def _joined(pieces: list[bytes]) -> Iterator[bytes]:
    """Join neighbours that are short: a socket is written to once for each."""
    short: list[bytes] = []
    for piece in pieces:
        if len(piece) < _SHORT:
            short.append(piece)
        else:
            yield from (b"".join(short), piece)
            short = []
    yield b"".join(short)


def from_chat(body: bytes, headers: Mapping[str, str]) -> Completion:
    """Read an answer's body and (lower-case) headers, or raise UpstreamAnswerError.

    Only the text is indispensable; a count that is missing in the body is taken from the
    headers, and is None if neither has it.
    """
    try:
        answer = loads(body)
    except ValueError as error:
        raise UpstreamAnswerError("the upstream's answer is not JSON") from error
    choice = _choice(answer)
    text = _text(choice)
    if text is None:
        raise UpstreamAnswerError("the upstream's answer is not a chat completion")
    counted = _usage(answer, Usage())
    raw = choice.get("finish_reason") or None
    return Completion(
        text=llama.whole(text),
        usage=Usage(
            _first(counted.prompt_token_count, _header(headers, "input-token-count")),
            _first(counted.generation_token_count, _header(headers, "output-token-count")),
        ),
        stop_reason=stop_reason(raw, answer),
        stop_reason_raw=None if raw is None else str(raw),
        latency_ms=_header(headers, "invocation-latency"),
        logprobs=logprobs(choice.get("logprobs")),
        guardrail=guard.report(answer),
    )


@dataclass(slots=True)
class ChunkDecoder:
    """Reads the chunks of a stream in their order.

    The counts may come with the chunk that says why the answer ended, in one of their own after
    it, or not at all.
    """

    finished: bool = False
    _usage: Usage = field(default_factory=Usage)
    _latency_ms: int | None = None
    _end: tuple[StopReason, str | None] | None = None
    _counted: bool = False
    """Whether Bedrock's metrics have come, which it sends with the last chunk."""
    _text: llama.WholeText = field(default_factory=llama.WholeText)
    _guardrail: GuardrailReport | None = None
    _blocked: bool = False
    """Whether a guardrail has intervened."""
    _waiting: tuple[TokenLogprob, ...] = ()
    """Tokens whose text is not whole yet."""

    def feed(self, data: bytes | str) -> Iterator[StreamPart]:
        """Yield the events of one chunk, or raise UpstreamAnswerError or ModelFailedError."""
        if (data if isinstance(data, str) else data.decode(errors="replace")).strip() == DONE:
            yield from self._done()
            return
        try:
            chunk = loads(data)
        except ValueError as error:
            raise UpstreamAnswerError("a chunk of the upstream's stream is not JSON") from error
        if not isinstance(chunk, dict):
            raise UpstreamAnswerError("a chunk of the upstream's stream is not an object")
        if chunk.get("error"):
            raise ModelFailedError("The model failed while answering.")
        yield from self._read(chunk)

    def _read(self, chunk: Mapping[str, Any]) -> Iterator[StreamPart]:
        choice, metrics = _choice(chunk), member(chunk, "amazon-bedrock-invocationMetrics")
        self._usage = _usage(chunk, self._usage)
        self._latency_ms = _first(number(metrics.get("invocationLatency")), self._latency_ms)
        # Servers write null or an empty text as long as there is no reason.
        raw = choice.get("finish_reason") or None
        if raw is not None:
            self._end = stop_reason(raw), str(raw)
        yield from self._delta(
            _text(choice) or "", logprobs(choice.get("logprobs")) or (), last=raw is not None
        )
        self._counted |= bool(metrics)
        self._blocked |= chunk.get(guard.ACTION) == guard.INTERVENED
        self._guardrail = guard.report(chunk) or self._guardrail
        if self._end is not None and (metrics or isinstance(chunk.get("usage"), dict)):
            yield self._finish()

    def _delta(
        self, text: str, scores: tuple[TokenLogprob, ...], *, last: bool = False
    ) -> Iterator[StreamPart]:
        self._waiting += scores
        whole = self._text.feed(text, last=last)
        if whole or (last and self._waiting):
            yield Delta(whole, self._usage, self._waiting)
            self._waiting = ()

    def _done(self) -> Iterator[StreamPart]:
        """End a stream whose end was announced, with or without a reason."""
        yield from self._delta("", (), last=True)
        yield self._finish()

    def _finish(self) -> Finish:
        self.finished = True
        reason, raw = self._end or (StopReason.OTHER, None)
        if self._blocked:
            # Bedrock may tell in a chunk of its own, before or after the reason.
            reason = StopReason.GUARDRAIL
        return Finish(self._usage, reason, raw, self._latency_ms, guardrail=self._guardrail)

    def end(self) -> Iterator[StreamPart]:
        """Yield the events that remain when the upstream has ended."""
        if self.finished:
            return
        if self._end is not None:
            yield self._finish()
        elif self._counted:
            yield from self._done()


def stop_reason(raw: object, answer: object = None) -> StopReason:
    """Map ``finish_reason`` and a guardrail's action; unknown ones become OTHER."""
    if isinstance(answer, dict) and answer.get(guard.ACTION) == guard.INTERVENED:
        return StopReason.GUARDRAIL
    return _STOP_REASONS.get(str(raw), StopReason.OTHER)


def _choice(answer: object) -> Mapping[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    every = choices if isinstance(choices, list) else ()
    return next((choice for choice in every if isinstance(choice, dict)), {})


def _text(choice: Mapping[str, Any]) -> str | None:
    """Return a choice's text from wherever it stands; None if it has no place for one."""
    messages = [
        choice[place] for place in ("delta", "message") if isinstance(choice.get(place), dict)
    ]
    places = [message.get(name) for message in messages for name in ("content", "refusal")]
    if "text" in choice:
        places.append(choice["text"])
    if not places:
        return None
    return next((text for text in map(_content, places) if text), "")


def _content(content: object) -> str:
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join([text for text in texts if isinstance(text, str)])
    return content if isinstance(content, str) else ""


def _usage(answer: object, before: Usage) -> Usage:
    usage = member(answer, "usage")
    metrics = member(answer, "amazon-bedrock-invocationMetrics")
    return Usage(
        _first(
            number(usage.get("prompt_tokens")),
            number(metrics.get("inputTokenCount")),
            before.prompt_token_count,
        ),
        _first(
            number(usage.get("completion_tokens")),
            number(metrics.get("outputTokenCount")),
            before.generation_token_count,
        ),
    )


def _header(headers: Mapping[str, str], name: str) -> int | None:
    return number(headers.get(f"x-amzn-bedrock-{name}"))


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)
