"""The events of a streamed answer from documents: ``start``, ``delta``, ``citation``, ``done``."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson
from fastapi import Response

from app.api.responses import sse
from app.api.responses.sse import EventStream
from app.api.responses.streaming import opened
from app.api.responses.warnings import WarningOut
from app.api.routing.context import RequestContext
from app.api.v1.generate.streaming import error
from app.api.v1.rag import serialize
from app.api.v1.rag.answers import LeftOutOut, QueryOut, RagRetrievalOut, UsedOut
from app.domain.generation import Delta, Failed
from app.services.deferred_model import DeferredModel
from app.services.retrieval.request import RagAnswer, RagRequest
from app.services.retrieval.streaming import Begun, Cited, RagEvent, streamed


class RagStartEvent(DeferredModel):
    """`event: start`: the chunks that were found and are shown to the model."""

    id: str
    knowledge_base: str
    query: QueryOut
    used: list[UsedOut]
    left_out: list[LeftOutOut]
    retrieval: RagRetrievalOut
    warnings: list[WarningOut]


STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` as server-sent events: one `start` "
        "(RagStartEvent), any number of `delta` (DeltaEvent) and `citation` (CitationOut, when "
        "a source is first cited), then exactly one of `done` (RagOut, with checked citations) "
        "and `error` (ErrorEvent).",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event; its data is the JSON of the schema named after it.",
                    "properties": {
                        "event": {"enum": ["start", "delta", "citation", "done", "error"]},
                        "data": {"type": "string", "contentMediaType": "application/json"},
                    },
                    "required": ["event", "data"],
                },
                "example": 'event: start\ndata: {"id": "rag_1", …}\n\n'
                'event: delta\ndata: {"text": "It costs 4.50 [1]."}\n\n'
                'event: citation\ndata: {"n": 1, …}\n\n'
                'event: done\ndata: {"id": "rag_1", "answer": "It costs 4.50 [1].", …}\n\n',
            }
        },
    }
}


async def respond(context: RequestContext, request: RagRequest, *, stream: bool) -> Response:
    """Answer ``request`` in one piece, or as a stream."""
    services = context.services
    if not stream:
        result = await services.rag.answer(request)
        return Response(serialize.answer(result), media_type="application/json")

    async def events(happening: AsyncIterator[RagEvent]) -> EventStream:
        return EventStream(_encoded(happening, context.id), services.timing.heartbeat)

    return await opened(streamed(services.rag, request), events)


async def _encoded(events: AsyncIterator[RagEvent], request_id: str) -> AsyncGenerator[bytes]:
    async for happened in events:
        match happened:
            case Delta(text):
                yield sse.event("delta", b'{"text":%b}' % orjson.dumps(text))
            case Begun(answer):
                yield sse.event("start", serialize.begun(answer))
            case Cited(citation):
                yield sse.event("citation", serialize.citation(citation))
            case RagAnswer():
                yield sse.event("done", serialize.answer(happened))
            case Failed():
                yield sse.event("error", error(happened, request_id))
