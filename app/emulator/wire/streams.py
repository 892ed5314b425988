"""The frames of the two streaming operations, made one by one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from app.emulator.wire import converse as converse_body
from app.emulator.wire import eventstream
from app.emulator.wire import native as native_body
from app.emulator.wire.conversation import Answer
from app.emulator.wire.exchange import Headers
from app.emulator.wire.replies import ms_since, request_id


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a stream, and what a break needs to know of it."""

    make: Callable[[], bytes]
    """Encodes it; called when it is due, so that the times in it are true."""
    text: bool = False
    """Whether it carries a piece of the answer."""
    final: bool = False
    """Whether it says why the answer ends."""


def headers(*, native: bool) -> Headers:
    """Return the headers of a streamed reply."""
    common: Headers = [(b"content-type", eventstream.CONTENT_TYPE), request_id()]
    return [*common, (b"x-amzn-bedrock-content-type", b"application/json")] if native else common


def native(answer: Answer, started: float) -> Iterator[Frame]:
    """Yield the frames of an InvokeModel stream; the last carries text, reason and metrics."""
    last = max(len(answer.pieces) - 1, 0)
    times: list[int] = []

    def chunk(index: int) -> bytes:
        body = native_body.chunk(answer, index)
        times.append(ms_since(started))
        if index == last:
            body["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": answer.prompt_tokens,
                "outputTokenCount": len(answer.pieces),
                "invocationLatency": times[-1],
                "firstByteLatency": times[0],
            }
        return eventstream.chunk(body)

    for index in range(last + 1):
        yield Frame(partial(chunk, index), text=True, final=index == last)


def converse(answer: Answer, started: float) -> Iterator[Frame]:
    """Yield the frames of a Converse stream; usage and metrics come after the stop."""
    for name, payload in converse_body.events(answer):
        yield Frame(
            partial(eventstream.event, name, payload),
            text=name == "contentBlockDelta",
            final=name == "messageStop",
        )

    def metadata() -> bytes:
        payload = {
            "usage": converse_body.usage(answer),
            "metrics": {"latencyMs": ms_since(started)},
            **converse_body.trace(answer),
        }
        return eventstream.event("metadata", payload)

    yield Frame(metadata)
