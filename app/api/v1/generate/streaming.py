"""The events of a streamed generation: ``start``, ``delta``, then one ``done`` or ``error``."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import Response
from pydantic import Field

from app.api.errors import problem
from app.api.responses import sse
from app.api.responses.cost import CostOut
from app.api.responses.guardrail import GuardrailOut
from app.api.responses.sse import EventStream
from app.api.responses.streaming import opened
from app.api.responses.warnings import WarningOut
from app.api.routing.context import RequestContext
from app.api.v1.generate import serialize
from app.api.v1.generate.schemas import ImageOut
from app.domain.generation import (
    Delta,
    Done,
    Failed,
    GenerationEvent,
    GenerationEvents,
    GenerationRequest,
    Started,
)
from app.services.deferred_model import DeferredModel


class StartEvent(DeferredModel):
    """`event: start`: the model has begun to answer."""

    id: str
    model: str
    images: list[ImageOut]
    warnings: list[WarningOut]


class DeltaEvent(DeferredModel):
    """`event: delta`: a piece of the text."""

    text: str


class ErrorEvent(problem.Problem):
    """`event: error`: the terminal event of a stream that failed."""

    generation: Annotated[str, Field(description="The text generated so far.")]
    prompt_token_count: Annotated[int | None, Field(description="Input tokens; null if unknown.")]
    generation_token_count: Annotated[
        int | None, Field(description="Output tokens so far; null if unknown.")
    ]
    cost_usd: Annotated[
        CostOut | None,
        Field(description="Cost of these tokens; null if the price or a count is unknown."),
    ]
    guardrail: Annotated[
        GuardrailOut | None, Field(description="The guardrails' report; null if none matched.")
    ]


STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The model's answer; with `stream: true` as server-sent events, in this "
        "order: one `start` (StartEvent), any number of `delta` (DeltaEvent), then exactly one of "
        "`done` (DoneEvent) and `error` (ErrorEvent). Comments keep the connection open.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event; its data is the JSON of the schema named after it.",
                    "properties": {
                        "event": {"enum": ["start", "delta", "done", "error"]},
                        "data": {"type": "string", "contentMediaType": "application/json"},
                    },
                    "required": ["event", "data"],
                },
                "example": 'event: start\ndata: {"id": "gen_1", …}\n\n'
                'event: delta\ndata: {"text": "A cat"}\n\n'
                'event: done\ndata: {"id": "gen_1", "stop_reason": "stop", …}\n\n',
            }
        },
    }
}


async def respond(context: RequestContext, request: GenerationRequest, *, stream: bool) -> Response:
    """Answer ``request`` in one piece, or as a stream."""
    services = context.services
    if not stream:
        generation = await services.generations.generate(request)
        return Response(serialize.generation(generation), media_type="application/json")

    async def streamed(events: AsyncIterator[GenerationEvents]) -> EventStream:
        return EventStream(encode(events, context.id), services.timing.heartbeat)

    return await opened(services.generations.stream(request), streamed)


async def encode(events: AsyncIterator[GenerationEvents], request_id: str) -> AsyncGenerator[bytes]:
    """Encode events; events that are ready at the same time are sent together."""
    async for ready in events:
        yield b"".join([_encoded(happened, request_id) for happened in ready])


def _encoded(happened: GenerationEvent, request_id: str) -> bytes:
    match happened:
        case Delta(text):
            return sse.event("delta", b'{"text":%b}' % orjson.dumps(text))
        case Started():
            return sse.event("start", serialize.started(happened))
        case Done(generation):
            return sse.event("done", serialize.done(generation))
        case Failed():
            return sse.event("error", error(happened, request_id))


def error(failed: Failed, request_id: str) -> bytes:
    """Return an `ErrorEvent` as JSON."""
    return orjson.dumps(
        {
            **problem.describe(failed.error, request_id).model_dump(),
            "generation": failed.text,
            "prompt_token_count": failed.usage.prompt_token_count,
            "generation_token_count": failed.usage.generation_token_count,
            "cost_usd": serialize.cost(failed.usage.cost),
            "guardrail": serialize.guardrail(failed.error.report),
        }
    )
