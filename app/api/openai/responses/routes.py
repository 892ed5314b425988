"""POST /v1/responses."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from app.api.errors import problem
from app.api.openai import errors as openai
from app.api.openai.chat import ANSWER_HEADERS, CHAT_ERRORS
from app.api.openai.responses.answer import Rendering, ResponsesOut
from app.api.openai.responses.schemas import ResponsesIn
from app.api.openai.responses.streaming import EventEncoder
from app.api.openai.responses.translate import translated
from app.api.openai.streaming import begun
from app.api.openai.translate import TranslatedRequest
from app.api.openapi.examples import RESPONSES
from app.api.responses import warnings
from app.api.responses.sse import EventStream
from app.api.responses.streaming import first, opened
from app.api.routing.context import Context, RequestContext
from app.api.routing.headers import CallHeaders
from app.domain.generation import Generation, GenerationEvents, Started
from app.services.generation.structured import Structured

router = APIRouter(prefix="/v1", tags=["openai"])

STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` as numbered server-sent events, of "
        "which the last one is `response.completed`, `response.incomplete` or `error`.",
        "headers": ANSWER_HEADERS,
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event; its data is JSON with `type` and `sequence_number`.",
                    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
                    "required": ["event", "data"],
                },
                "example": "event: response.output_text.delta\n"
                'data: {"type":"response.output_text.delta","sequence_number":4,…}\n\n',
            }
        },
    }
}


async def respond(context: RequestContext, body: ResponsesIn, asked: TranslatedRequest) -> Response:
    """Answer a request in one piece, or as a stream."""
    services = context.services
    rendering = Rendering(body, asked.request.sampling)

    def encoder(started: Started) -> EventEncoder:
        return EventEncoder(rendering, rendering.begun(started), context.id)

    if body.stream and asked.form is None:

        async def streamed(events: AsyncIterator[GenerationEvents]) -> EventStream:
            started = await first(events)
            return _stream(context, encoder(started).encode(events), asked, started)

        return await opened(services.generations.stream(asked.request), streamed)
    if asked.form is None:
        structured = Structured(await services.generations.generate(asked.request))
    else:
        structured = await services.structured.generate(asked.request, asked.form)
    rendering = replace(rendering, created=structured.generation.created)
    started = begun(structured.generation)
    if body.stream:
        return _stream(context, encoder(started).whole(structured), asked, started)
    ended = rendering.ended(rendering.begun(started), structured)
    return Response(
        ended.model_dump_json(),
        media_type="application/json",
        headers=_headers(asked, structured.generation),
    )


def _stream(
    context: RequestContext,
    events: AsyncGenerator[bytes],
    asked: TranslatedRequest,
    started: Started,
) -> EventStream:
    stream = EventStream(events, context.services.timing.heartbeat)
    stream.headers.update(_headers(asked, started))
    return stream


def _headers(asked: TranslatedRequest, answer: Generation | Started) -> dict[str, str]:
    return warnings.headers(warnings.together(answer.warnings, answer.images), asked.ignored)


@router.post(
    "/responses",
    operation_id="createResponse",
    summary="Answer a request, in the form of OpenAI's responses",
    description="For programs that use a current OpenAI SDK; docs/openai.md says what is "
    "compatible. Nothing is stored: each request sends the whole conversation. Parameters that "
    "would change the answer but that the model lacks are refused by name; those without effect "
    f"are listed in `{warnings.IGNORED_HEADER}`.",
    response_description="The model's answer.",
    response_model=ResponsesOut,
    responses=STREAM_RESPONSE | problem.documented(CHAT_ERRORS, openai.SHAPE),
)
async def responses(
    context: Context,
    headers: CallHeaders,
    body: Annotated[ResponsesIn, Body(openapi_examples=RESPONSES)],
) -> Response:
    asked = translated(body, context.call_context(headers))
    context.services.model.check_named(body.model)
    return await respond(context, body, asked)
