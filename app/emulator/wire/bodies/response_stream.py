"""The frames of the streaming operations, made one by one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.emulator.wire import eventstream
from app.emulator.wire.bodies import bedrock_completion, converse, native
from app.emulator.wire.bodies import openai_chat as chat
from app.emulator.wire.bodies import openai_completion as completion
from app.emulator.wire.bodies.conversation import Answer, Ask, BodyFormat
from app.emulator.wire.exchange import Headers
from app.emulator.wire.replies import ms_since, request_id


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a stream, with the facts that a break needs."""

    make: Callable[[], bytes]
    """Encodes it; called when the frame is due, so that its times are true."""
    text: bool = False
    """Whether it carries a piece of the answer."""
    final: bool = False
    """Whether it says why the answer ends."""


@dataclass(slots=True)
class _Timer:
    """The latencies of one answer of InvokeModelWithResponseStream."""

    answer: Answer
    started: float
    """A `time.perf_counter` reading."""
    times: list[int] = field(default_factory=list)

    def encoded(self, body: dict[str, Any], *, last: bool) -> bytes:
        """Return the frame of one chunk; the last carries the metrics of the whole."""
        self.times.append(ms_since(self.started))
        if last:
            body["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": self.answer.prompt_tokens,
                "outputTokenCount": len(self.answer.pieces),
                "invocationLatency": self.times[-1],
                "firstByteLatency": self.times[0],
            }
        return eventstream.chunk(body)


def headers(body_format: BodyFormat) -> Headers:
    """Return the headers of a streamed reply."""
    common: Headers = [(b"content-type", eventstream.CONTENT_TYPE), request_id()]
    if body_format is BodyFormat.CONVERSE:
        return common
    return [*common, (b"x-amzn-bedrock-content-type", b"application/json")]


def frames(ask: Ask, answer: Answer, model: str, started: float) -> Iterator[Frame]:
    """Return the frames of a streamed answer, in the format of the call."""
    match ask.format:
        case BodyFormat.CONVERSE:
            return _converse(answer, started)
        case BodyFormat.OPENAI_CHAT:
            return _openai(list(chat.chunks(ask, answer, model)), answer, started, opening=1)
        case BodyFormat.OPENAI_COMPLETION:
            return _openai(list(completion.chunks(ask, answer, model)), answer, started, opening=0)
    return _llama(ask, answer, started)


def _llama(ask: Ask, answer: Answer, started: float) -> Iterator[Frame]:
    """Yield the frames of Llama's own body; the last carries text, reason and metrics."""
    last, timer = max(len(answer.pieces) - 1, 0), _Timer(answer, started)
    body = (
        partial(bedrock_completion.chunk, ask, answer)
        if ask.format is BodyFormat.BEDROCK_COMPLETION
        else partial(native.chunk, answer)
    )

    def chunk(index: int) -> bytes:
        return timer.encoded(body(index), last=index == last)

    for index in range(last + 1):
        yield Frame(partial(chunk, index), text=True, final=index == last)


def _openai(
    bodies: list[dict[str, Any]], answer: Answer, started: float, *, opening: int
) -> Iterator[Frame]:
    """Yield the frames of one of OpenAI's bodies: text, the reason of the end, then usage."""
    timer, end = _Timer(answer, started), len(bodies) - 2
    for index, body in enumerate(bodies):
        yield Frame(
            partial(timer.encoded, body, last=index == end + 1),
            text=opening <= index < end,
            final=index == end,
        )


def _converse(answer: Answer, started: float) -> Iterator[Frame]:
    """Yield the frames of a Converse stream; usage and metrics come after the stop."""
    for name, payload in converse.events(answer):
        yield Frame(
            partial(eventstream.event, name, payload),
            text=name == "contentBlockDelta",
            final=name == "messageStop",
        )

    def metadata() -> bytes:
        payload = {
            "usage": converse.usage(answer),
            "metrics": {"latencyMs": ms_since(started)},
            **converse.trace(answer),
        }
        return eventstream.event("metadata", payload)

    yield Frame(metadata)
