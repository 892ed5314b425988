"""The frames of the two streaming operations, made one by one."""

from collections.abc import Iterator

from app.emulator import converse as converse_body
from app.emulator import eventstream
from app.emulator import native as native_body
from app.emulator.conversation import Answer
from app.emulator.delivery import Frame
from app.emulator.exchange import Headers
from app.emulator.replies import ms_since, request_id


def headers(*, native: bool) -> Headers:
    """Return the headers of a streamed reply."""
    common: Headers = [(b"content-type", eventstream.CONTENT_TYPE), request_id()]
    return [*common, (b"x-amzn-bedrock-content-type", b"application/json")] if native else common


def native(answer: Answer, started: float) -> Iterator[Frame]:
    """Yield the frames of an InvokeModel stream; the last carries text, reason and metrics."""
    first = None
    last = max(len(answer.pieces) - 1, 0)
    for index in range(last + 1):
        body = native_body.chunk(answer, index)
        first = ms_since(started) if first is None else first
        if index == last:
            body["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": answer.prompt_tokens,
                "outputTokenCount": len(answer.pieces),
                "invocationLatency": ms_since(started),
                "firstByteLatency": first,
            }
        yield Frame(eventstream.chunk(body), text=True, final=index == last)


def converse(answer: Answer, started: float) -> Iterator[Frame]:
    """Yield the frames of a Converse stream; usage and metrics come after the stop."""
    for name, payload in converse_body.events(answer):
        yield Frame(
            eventstream.event(name, payload),
            text=name == "contentBlockDelta",
            final=name == "messageStop",
        )
    metadata = {
        "usage": converse_body.usage(answer),
        "metrics": {"latencyMs": ms_since(started)},
        **converse_body.trace(answer),
    }
    yield Frame(eventstream.event("metadata", metadata))
