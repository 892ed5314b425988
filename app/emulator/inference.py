"""The four operations that ask the model, from a request's body to the reply's last byte."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import orjson

from app.emulator import converse, eventstream, native
from app.emulator.config import EmulatorConfig
from app.emulator.conversation import Answer, Ask
from app.emulator.exchange import Exchange, Headers, Request
from app.emulator.mind import Mind

# Parsed on the event loop only while that takes less than handing it to a thread.
_PARSED_INLINE = 65_536
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Operation:
    """One way to ask."""

    name: str
    converse: bool
    streams: bool


OPERATIONS = {
    "invoke": Operation("InvokeModel", converse=False, streams=False),
    "invoke-with-response-stream": Operation(
        "InvokeModelWithResponseStream", converse=False, streams=True
    ),
    "converse": Operation("Converse", converse=True, streams=False),
    "converse-stream": Operation("ConverseStream", converse=True, streams=True),
}


class Inference:
    """Answers inference requests with a `Mind`."""

    def __init__(self, config: EmulatorConfig, mind: Mind) -> None:
        self._mind = mind
        self._decode = config.fixed_answer is None

    async def ask(self, operation: Operation, request: Request) -> Ask:
        """Return what a body asks, or raise the 400 that it earns."""
        parse = partial(
            converse.parse if operation.converse else partial(native.parse, guarded=None),
            request.body,
            decode=self._decode,
        )
        if len(request.body) <= _PARSED_INLINE:
            return parse()
        return await self._mind.in_thread(parse)

    async def serve(self, exchange: Exchange, operation: Operation, request: Request) -> None:
        """Answer one request."""
        started = time.perf_counter()
        ask = await self.ask(operation, request)
        answer = await self._mind.answer(ask)
        if operation.streams:
            await self._stream(exchange, operation, answer, started)
        else:
            await self._whole(exchange, operation, answer, started)

    async def _whole(
        self, exchange: Exchange, operation: Operation, answer: Answer, started: float
    ) -> None:
        latency = _ms_since(started)
        body = converse.rendered(answer, latency) if operation.converse else native.rendered(answer)
        headers = [_JSON, request_id(), *_metrics(answer, latency)]
        await exchange.reply(200, headers, orjson.dumps(body))

    async def _stream(
        self, exchange: Exchange, operation: Operation, answer: Answer, started: float
    ) -> None:
        headers: Headers = [(b"content-type", eventstream.CONTENT_TYPE), request_id()]
        if not operation.converse:
            headers.append((b"x-amzn-bedrock-content-type", b"application/json"))
        await exchange.start(200, headers)
        frames = converse_frames if operation.converse else native_frames
        for frame in frames(answer, started):
            await exchange.part(frame)
        await exchange.end()


def native_frames(answer: Answer, started: float) -> Iterator[bytes]:
    """Yield the frames of an InvokeModel stream; the last carries text, reason and metrics."""
    first = _ms_since(started)
    last = max(len(answer.pieces) - 1, 0)
    for index in range(last + 1):
        body = native.chunk(answer, index)
        if index == last:
            body["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": answer.prompt_tokens,
                "outputTokenCount": len(answer.pieces),
                "invocationLatency": _ms_since(started),
                "firstByteLatency": first,
            }
        yield eventstream.chunk(body)


def converse_frames(answer: Answer, started: float) -> Iterator[bytes]:
    """Yield the frames of a Converse stream; usage and metrics come after the stop."""
    for name, payload in converse.events(answer):
        yield eventstream.event(name, payload)
    metadata: dict[str, Any] = {
        "usage": converse.usage(answer),
        "metrics": {"latencyMs": _ms_since(started)},
    }
    yield eventstream.event("metadata", metadata)


def request_id() -> tuple[bytes, bytes]:
    """Return a new request id header."""
    return (b"x-amzn-requestid", str(uuid4()).encode())


def _metrics(answer: Answer, latency: int) -> Headers:
    return [
        (b"x-amzn-bedrock-invocation-latency", str(latency).encode()),
        (b"x-amzn-bedrock-input-token-count", str(answer.prompt_tokens).encode()),
        (b"x-amzn-bedrock-output-token-count", str(len(answer.pieces)).encode()),
    ]


def _ms_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
