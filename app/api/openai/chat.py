"""POST /v1/chat/completions."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from app.api.errors import problem
from app.api.errors.documented import GENERATION_ERRORS, JSON_IMAGE_ERRORS
from app.api.openai import errors as openai
from app.api.openai.answer import ChatChunk, ChatCompletion
from app.api.openai.schemas import ChatIn
from app.api.openai.streaming import ChunkEncoder, begun
from app.api.openai.translate import Asked, translated
from app.api.openapi.examples import CHAT
from app.api.responses import warnings
from app.api.responses.sse import EventStream
from app.api.routing.asking import Asking
from app.api.routing.dependencies import AskingTerms
from app.api.routing.short_route import ShortRoute
from app.domain import errors
from app.domain.generation import Started
from app.services.generation.structured import Structured

router = APIRouter(prefix="/v1/chat", tags=["openai"], route_class=ShortRoute)

STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` as server-sent events whose data are "
        "chunks (ChatChunk), ended by `[DONE]`, or by an error (ChatErrorBody) without it.",
        "headers": {
            warnings.WARNINGS_HEADER: {
                "description": "Codes of the answer's warnings.",
                "schema": {"type": "string"},
            },
            warnings.IGNORED_HEADER: {
                "description": "Parameters that were given and make no difference.",
                "schema": {"type": "string"},
            },
        },
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
)


@dataclass(frozen=True, slots=True)
class ChatAnswering:
    """Answers in the form that the caller asked for."""

    asks: Asking

    async def answer(self, body: ChatIn, asked: Asked) -> Response:
        """Answer in one piece or as a stream."""
        self.asks.services.model.check_named(body.model)
        if asked.form is not None:
            structured = await self.asks.services.structured.generate(asked.request, asked.form)
            return self._structured(body, asked, structured)
        if body.stream:
            started, events = await self.asks.pieces(asked.request)
            return self._stream(self._encoder(body, started).encode(events), asked, started)
        return _whole(asked, Structured(await self.asks.whole(asked.request)))

    def _structured(self, body: ChatIn, asked: Asked, structured: Structured) -> Response:
        if not body.stream:
            return _whole(asked, structured)
        started = begun(structured.generation)
        return self._stream(self._encoder(body, started).whole(structured), asked, started)

    def _encoder(self, body: ChatIn, started: Started) -> ChunkEncoder:
        options = body.stream_options
        usage = options is not None and options.include_usage
        return ChunkEncoder(ChatChunk.first(started), usage, self.asks.request_id)

    def _stream(self, chunks: AsyncGenerator[bytes], asked: Asked, started: Started) -> Response:
        stream = EventStream(chunks, self.asks.services.timing.heartbeat)
        caveats = warnings.together(started.warnings, started.images)
        stream.headers.update(warnings.headers(caveats, asked.ignored))
        return stream


def _whole(asked: Asked, structured: Structured) -> Response:
    generation = structured.generation
    caveats = warnings.together(generation.warnings, generation.images)
    return Response(
        ChatCompletion.of(generation, structured.refusal).model_dump_json(),
        media_type="application/json",
        headers=warnings.headers(caveats, asked.ignored),
    )


async def _answering(request: Request) -> ChatAnswering:
    return ChatAnswering(Asking.of(request))


@router.post(
    "/completions",
    operation_id="createChatCompletion",
    summary="Continue a conversation, in OpenAI's form",
    description="For programs that use an OpenAI SDK; docs/openai.md says what is kept of its "
    "promises. Parameters that would change the answer and that the model has not are refused by "
    f"name; those without effect are listed in `{warnings.IGNORED_HEADER}`.",
    response_description="The model's answer.",
    response_model=ChatCompletion,
    responses=STREAM_RESPONSE | problem.documented(CHAT_ERRORS, openai.SHAPE),
)
async def chat(
    answers: Annotated[ChatAnswering, Depends(_answering)],
    terms: AskingTerms,
    body: Annotated[ChatIn, Body(openapi_examples=CHAT)],
) -> Response:
    return await answers.answer(body, translated(body, terms))
