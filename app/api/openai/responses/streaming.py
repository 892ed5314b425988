"""A streamed answer of POST /v1/responses: named and numbered events."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count

from pydantic_core import to_json

from app.api.openai import errors
from app.api.openai.responses.answer import (
    Rendering,
    ResponsesContent,
    ResponsesOut,
    ResponsesOutputRefusal,
    ResponsesOutputText,
    content,
    message,
)
from app.api.responses import sse
from app.domain.errors import ServiceError
from app.domain.generation import Delta, Done, Failed, GenerationEvent, GenerationEvents, Started
from app.services.generation.structured import Structured


@dataclass(frozen=True, slots=True)
class EventEncoder:
    """Encodes the events of one stream."""

    rendering: Rendering
    begun: ResponsesOut
    request_id: str
    numbers: Iterator[int] = field(default_factory=count)

    async def encode(self, events: AsyncIterator[GenerationEvents]) -> AsyncGenerator[bytes]:
        """Encode the events after the first one."""
        yield self._opening(ResponsesOutputText(text=""))
        async for ready in events:
            yield b"".join(map(self._encoded, ready))

    async def whole(self, structured: Structured) -> AsyncGenerator[bytes]:
        """Encode an answer that was checked as a whole before it is streamed."""
        part = content(structured)
        if isinstance(part, ResponsesOutputRefusal):
            yield self._opening(ResponsesOutputRefusal(refusal=""))
            yield self._in_part("response.refusal.delta", delta=part.refusal)
        else:
            yield self._opening(ResponsesOutputText(text=""))
            yield self._delta(part.text)
        yield self._closing(structured)

    def _encoded(self, happened: GenerationEvent) -> bytes:
        match happened:
            case Delta(text):
                return self._delta(text)
            case Done(generation):
                return self._closing(Structured(generation))
            case Failed(error):
                return self._error(error)
            case Started():
                return b""

    def _opening(self, part: ResponsesContent) -> bytes:
        item = message(self.begun, [], "in_progress")
        begun = self.begun.model_dump()
        return b"".join(
            (
                self._event("response.created", response=begun),
                self._event("response.in_progress", response=begun),
                self._event("response.output_item.added", output_index=0, item=item.model_dump()),
                self._in_part("response.content_part.added", part=part.model_dump()),
            )
        )

    def _delta(self, text: str) -> bytes:
        return self._in_part("response.output_text.delta", delta=text, logprobs=[])

    def _closing(self, structured: Structured) -> bytes:
        ended = self.rendering.ended(self.begun, structured)
        (item,) = ended.output
        (part,) = item.content
        if isinstance(part, ResponsesOutputRefusal):
            event = self._in_part("response.refusal.done", refusal=part.refusal)
        else:
            event = self._in_part("response.output_text.done", text=part.text, logprobs=[])
        return b"".join(
            (
                event,
                self._in_part("response.content_part.done", part=part.model_dump()),
                self._event("response.output_item.done", output_index=0, item=item.model_dump()),
                self._event(f"response.{ended.status}", response=ended.model_dump()),
            )
        )

    def _error(self, error: ServiceError) -> bytes:
        """Encode the end of a failed stream, both as OpenAI documents it and as it sends it.

        Its SDK for Python raises an APIError only for the member ``error``.
        """
        described = errors.body(error, self.request_id).error.model_dump()
        flat = {name: described[name] for name in ("code", "message", "param")}
        return self._event("error", **flat, error=described)

    def _in_part(self, kind: str, **members: object) -> bytes:
        where: dict[str, object] = {
            "item_id": f"msg_{self.begun.id}",
            "output_index": 0,
            "content_index": 0,
        }
        return self._event(kind, **where, **members)

    def _event(self, kind: str, **members: object) -> bytes:
        event = {"type": kind, "sequence_number": next(self.numbers), **members}
        return sse.event(kind, to_json(event))
