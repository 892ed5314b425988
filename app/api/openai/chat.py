"""POST /v1/chat/completions."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from app.api.errors import problem
from app.api.errors.documented import GENERATION_ERRORS, JSON_IMAGE_ERRORS, RETRIEVAL_ERRORS
from app.api.openai import errors as openai
from app.api.openai.answer import ChatChunk, ChatCompletion
from app.api.openai.knowledge_base import (
    RagChunkEncoder,
    completion,
    first_chunk,
    rag_request,
    refused,
)
from app.api.openai.schemas import ChatIn
from app.api.openai.streaming import ChunkEncoder, begun
from app.api.openai.translate import TranslatedRequest, translated
from app.api.openapi.examples import CHAT
from app.api.responses import warnings
from app.api.responses.sse import EventStream
from app.api.responses.streaming import first, opened
from app.api.routing.context import Context, RequestContext
from app.api.routing.headers import CallHeaders
from app.domain import errors
from app.domain.generation import GenerationEvents, Started
from app.services.generation.structured import Structured
from app.services.retrieval.streaming import Begun, RagEvent, streamed

router = APIRouter(prefix="/v1/chat", tags=["openai"])

ANSWER_HEADERS: dict[str, Any] = {
    warnings.WARNINGS_HEADER: {
        "description": "Codes of the answer's warnings.",
        "schema": {"type": "string"},
    },
    warnings.IGNORED_HEADER: {
        "description": "Names of the parameters that were sent and are ignored.",
        "schema": {"type": "string"},
    },
}

STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` as server-sent events whose data are "
        "chunks (ChatChunk). The stream ends with `[DONE]`, or with an error (ChatErrorBody) "
        "and no `[DONE]`.",
        "headers": ANSWER_HEADERS,
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event; its data is the JSON of a ChatChunk, or `[DONE]`.",
                    "properties": {"data": {"type": "string"}},
                    "required": ["data"],
                },
                "example": 'data: {"object":"chat.completion.chunk", …}\n\ndata: [DONE]\n\n',
            }
        },
    }
}

CHAT_ERRORS = (
    *JSON_IMAGE_ERRORS,
    *GENERATION_ERRORS,
    errors.UnsupportedParameterError,
    errors.UnknownModelError,
    *RETRIEVAL_ERRORS,
)


async def respond(context: RequestContext, body: ChatIn, asked: TranslatedRequest) -> Response:
    """Answer a request in one piece, or as a stream."""
    services = context.services
    if body.knowledge_base is not None:
        return await _from_documents(context, body, asked)
    if asked.form is not None:
        structured = await services.structured.generate(asked.request, asked.form)
        return _structured(context, body, asked, structured)
    if not body.stream:
        return _whole(asked, Structured(await services.generations.generate(asked.request)))

    async def event_stream(events: AsyncIterator[GenerationEvents]) -> EventStream:
        started = await first(events)
        chunks = _encoder(context, body, started).encode(events)
        return _stream(context, chunks, asked, started)

    return await opened(services.generations.stream(asked.request), event_stream)


async def _from_documents(
    context: RequestContext, body: ChatIn, asked: TranslatedRequest
) -> Response:
    """Answer a question from a knowledge base."""
    services, model = context.services, context.services.model.identity.id
    request = rag_request(body, asked)
    if not body.stream:
        try:
            answer = await services.rag.answer(request)
        except errors.GuardrailBlockedError as error:
            return _whole(asked, Structured(refused(error, f"rag_{context.id}", model)))
        return Response(
            completion(answer, model).model_dump_json(),
            media_type="application/json",
            headers=warnings.headers(answer.warnings, asked.ignored),
        )

    async def event_stream(events: AsyncIterator[RagEvent]) -> EventStream:
        start = await anext(events)
        assert isinstance(start, Begun)
        options = body.stream_options
        usage = options is not None and bool(options.include_usage)
        chunks = ChunkEncoder(first_chunk(start, model), usage, context.id)
        encoder = RagChunkEncoder(chunks, model, context.id)
        stream = EventStream(encoder.encode(events), services.timing.heartbeat)
        stream.headers.update(warnings.headers(start.answer.warnings, asked.ignored))
        return stream

    return await opened(streamed(services.rag, request), event_stream)


def _structured(
    context: RequestContext, body: ChatIn, asked: TranslatedRequest, structured: Structured
) -> Response:
    if not body.stream:
        return _whole(asked, structured)
    started = begun(structured.generation)
    chunks = _encoder(context, body, started).whole(structured)
    return _stream(context, chunks, asked, started)


def _encoder(context: RequestContext, body: ChatIn, started: Started) -> ChunkEncoder:
    options = body.stream_options
    usage = options is not None and bool(options.include_usage)
    return ChunkEncoder(ChatChunk.first(started), usage, context.id)


def _stream(
    context: RequestContext,
    chunks: AsyncGenerator[bytes],
    asked: TranslatedRequest,
    started: Started,
) -> EventStream:
    stream = EventStream(chunks, context.services.timing.heartbeat)
    answer_warnings = warnings.together(started.warnings, started.images)
    stream.headers.update(warnings.headers(answer_warnings, asked.ignored))
    return stream


def _whole(asked: TranslatedRequest, structured: Structured) -> Response:
    generation = structured.generation
    answer_warnings = warnings.together(generation.warnings, generation.images)
    return Response(
        ChatCompletion.from_domain(
            generation, structured.refusal, structured.raw
        ).model_dump_json(),
        media_type="application/json",
        headers=warnings.headers(answer_warnings, asked.ignored),
    )


@router.post(
    "/completions",
    operation_id="createChatCompletion",
    summary="Continue a conversation, in OpenAI's form",
    description="For programs that use an OpenAI SDK; docs/openai.md says what is "
    "compatible. Parameters that would change the answer but that the model lacks are refused by "
    f"name; those without effect are listed in `{warnings.IGNORED_HEADER}`.",
    response_description="The model's answer.",
    response_model=ChatCompletion,
    responses=STREAM_RESPONSE | problem.documented(CHAT_ERRORS, openai.SHAPE),
)
async def chat(
    context: Context,
    headers: CallHeaders,
    body: Annotated[ChatIn, Body(openapi_examples=CHAT)],
) -> Response:
    model = context.services.model
    asked = translated(body, context.call_context(headers), model.capabilities)
    model.check_named(body.model)
    return await respond(context, body, asked)
