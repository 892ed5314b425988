"""Streams an answer from documents: citations on the way, corrections at the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from app.domain.citation import MarkerFilter
from app.domain.errors import GuardrailBlockedError, InternalError
from app.domain.generation import Delta, Done, Failed, GenerationEvent, GenerationEvents
from app.domain.usage import Usage
from app.services.retrieval.request import Citation, RagAnswer, RagRequest
from app.services.retrieval.service import RagService
from app.services.retrieval.work import Work
from app.telemetry import current

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Begun:
    """The first event of a stream: the sources shown to the model, without an answer."""

    answer: RagAnswer


@dataclass(frozen=True, slots=True)
class Cited:
    """The piece of text before this event cites a source for the first time."""

    citation: Citation


RagEvent = Begun | Delta | Cited | RagAnswer | Failed
"""The last two are terminal."""


@asynccontextmanager
async def streamed(
    service: RagService, request: RagRequest
) -> AsyncIterator[AsyncIterator[RagEvent]]:
    """Answer piece by piece.

    Entering raises whatever refuses the request, up to the model's first event. Iterating yields
    `Begun`, `Delta`s and `Cited`s, and exactly one of `RagAnswer` and `Failed`, and raises nothing.
    Deltas have no marker without a source; all other corrections are in the last event.
    """
    if request.call_context.idempotency_key is not None:
        # Shared in one piece, as a second request could not get the first one's pieces.
        yield _whole(await service.answer(request))
        return
    work = await service.begin(request)
    if work.refusal is not None:
        yield _refused(Begun(await service.answer_so_far(work)), work.refusal)
        return
    if work.prepared.request is None:
        yield _whole(await service.finish(work))
        return
    begun = Begun(await service.answer_so_far(work))
    async with service.generations.stream(work.prepared.request) as events:
        yield _events(service, begun, events, work)


async def _events(
    service: RagService, begun: Begun, events: AsyncIterator[GenerationEvents], work: Work
) -> AsyncIterator[RagEvent]:
    yield begun
    pieces = _Pieces(work)
    try:
        async for ready in events:
            for event in ready:
                for happened in pieces.events(event):
                    yield happened
                if isinstance(event, Done):
                    await service.check(work, event.generation)
                    yield await service.finish(work)
    except Exception:
        # A stream has to end with a terminal event, whatever happens.
        log.exception("stream failed", rag_id=work.id)
        record, error = current(), InternalError("A fault of this service ended the stream.")
        record.stream, record.code = "failed", error.code
        yield Failed(error, pieces.text, Usage())


class _Pieces:
    """Turns pieces of the model's text into pieces of the answer."""

    def __init__(self, work: Work) -> None:
        self._sources = {source.n: source for source in work.prepared.sources}
        self._markers = MarkerFilter(self._sources.keys())
        self._told = 0
        self.text = ""

    def events(self, event: GenerationEvent) -> list[RagEvent]:
        """Return the events to send for ``event``, without the terminal one."""
        match event:
            case Failed():
                return [event]
            case Delta(text):
                return self._sent(self._markers.feed(text))
            case Done():
                return self._sent(self._markers.feed("", last=True))
        return []

    def _sent(self, text: str) -> list[RagEvent]:
        self.text += text
        cited = list(self._markers.cited)
        new, self._told = cited[self._told :], len(cited)
        events: list[RagEvent] = [Delta(text)] if text else []
        return [*events, *(Cited(Citation(self._sources[number])) for number in new)]


async def _refused(begun: Begun, error: GuardrailBlockedError) -> AsyncIterator[RagEvent]:
    """Yield the events of an answer whose sources are blocked by a guardrail."""
    record = current()
    record.stream, record.code = "failed", error.code
    yield begun
    yield Failed(error, "", error.usage or Usage())


async def _whole(answer: RagAnswer) -> AsyncIterator[RagEvent]:
    """Yield the events of an answer that is already complete."""
    yield Begun(answer)
    if answer.checked.text:
        yield Delta(answer.checked.text)
    for citation in answer.checked.citations:
        yield Cited(citation)
    yield answer
