"""A streamed answer in OpenAI's form: chunks, then ``[DONE]``, or an error and no ``[DONE]``."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from app.api.openai import errors
from app.api.openai.answer import (
    FINISH_REASONS,
    ChatChunk,
    ChatChunkChoice,
    ChatDelta,
    ChatLastChunk,
    ChatUsage,
)
from app.api.openai.logprobs import ChatLogprobs
from app.api.responses import sse
from app.api.responses.cost import CostOut
from app.api.responses.guardrail import GuardrailOut
from app.domain.generation import (
    Delta,
    Done,
    Failed,
    Generation,
    GenerationEvent,
    GenerationEvents,
    Started,
)
from app.domain.output import TokenLogprob
from app.services.generation.structured import Structured

DONE = sse.data(b"[DONE]")


@dataclass(frozen=True, slots=True)
class ChunkEncoder:
    """Encodes the events of one stream."""

    first: ChatChunk
    include_usage: bool
    request_id: str

    async def encode(self, events: AsyncIterator[GenerationEvents]) -> AsyncGenerator[bytes]:
        """Encode the events after the first one."""
        yield self._sent(self.first)
        async for ready in events:
            yield b"".join(map(self._encoded, ready))

    async def whole(self, structured: Structured) -> AsyncGenerator[bytes]:
        """Encode an answer that was checked as a whole before it is streamed."""
        yield self._sent(self.first)
        completion = structured.generation.completion
        # OpenAI's SDK parses the content as it comes, unless there is a refusal by then.
        if structured.refusal is not None:
            yield self.piece(ChatDelta(refusal=structured.refusal))
        yield self.piece(ChatDelta(content=completion.text), completion.logprobs)
        yield self.end(structured.generation, structured.raw)

    def _encoded(self, happened: GenerationEvent) -> bytes:
        match happened:
            case Delta(text, _, logprobs):
                return self.piece(ChatDelta(content=text), logprobs)
            case Done(generation):
                return self.end(generation)
            case Failed(error):
                body = errors.body(error, self.request_id)
                return sse.data(body.model_dump_json().encode())
            case Started():
                return b""

    def begin(self) -> bytes:
        """Encode the chunk that begins the message."""
        return self._sent(self.first)

    def end(self, generation: Generation, raw: str | None = None) -> bytes:
        """Encode the reason why the answer ended, its usage, and the end of the stream."""
        completion = generation.completion
        finish = FINISH_REASONS[completion.stop_reason]
        ended = self._chunk(
            ChatChunkChoice(delta=ChatDelta(), finish_reason=finish, generation=raw)
        )
        cost = CostOut.from_domain(completion.usage.cost)
        guardrail = GuardrailOut.from_domain(completion.guardrail)
        last = self._sent(
            ChatLastChunk(
                **dict(ended),
                cost_usd=cost,
                guardrail=guardrail,
                cached=completion.replay is not None,
                age_seconds=completion.replay and completion.replay.age,
            )
        )
        if self.include_usage:
            usage = ChatUsage.from_domain(completion.usage)
            last += self._sent(self._chunk().model_copy(update={"usage": usage}))
        return last + DONE

    def piece(self, delta: ChatDelta, logprobs: Sequence[TokenLogprob] | None = None) -> bytes:
        """Encode a piece of the message."""
        choice = ChatChunkChoice(delta=delta, logprobs=ChatLogprobs.from_domain(logprobs))
        return self._sent(self._chunk(choice))

    def _chunk(self, *choices: ChatChunkChoice) -> ChatChunk:
        first = self.first
        return ChatChunk(
            id=first.id, created=first.created, model=first.model, choices=list(choices)
        )

    def _sent(self, chunk: ChatChunk) -> bytes:
        # `usage` is null in all chunks but the last if it was requested, and absent otherwise.
        left_out = None if self.include_usage else {"usage"}
        return sse.data(chunk.model_dump_json(exclude=left_out).encode())


def begun(generation: Generation) -> Started:
    """Return the first event for an answer that is already complete."""
    return Started(generation.id, generation.model, generation.images, generation.warnings)
