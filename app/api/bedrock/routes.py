"""POST /model/{id}/invoke, /converse and their streams.

The routes are not in the OpenAPI document: AWS's service model describes them, and OpenAPI can't
describe the frames of their streams.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Response

from app.api.bedrock import converse_answer, guardrail, output_config
from app.api.bedrock import invoke as invoke_body
from app.api.bedrock.converse import ConverseIn
from app.api.bedrock.errors import REQUEST_ID_HEADER
from app.api.bedrock.event_stream import MEDIA_TYPE
from app.api.bedrock.invoke import InvokeIn
from app.api.responses import cost, warnings
from app.api.responses.streaming import Streamed, first, opened
from app.api.routing.context import Context, RequestContext
from app.api.routing.decode import ANY_TYPE
from app.api.routing.headers import CallHeaders
from app.api.unsupported_parameters import ForeignParameters
from app.domain.generation import Generation, GenerationEvents, GenerationRequest, Started

router = APIRouter(prefix="/model", include_in_schema=False)

Encoder = Callable[[AsyncIterator[GenerationEvents]], AsyncGenerator[bytes]]

# Parameters that InvokeModel has in headers, judged like Converse's fields.
_HEADERS = ForeignParameters(
    harmless=frozenset({"X-Amzn-Bedrock-Trace"}),
    neutral={
        "X-Amzn-Bedrock-PerformanceConfig-Latency": ("standard",),
        "X-Amzn-Bedrock-Service-Tier": ("default",),
    },
)
_JUDGED = {name.lower().encode(): name for name in (*_HEADERS.harmless, *_HEADERS.neutral)}

InvokeBody = Annotated[InvokeIn, Body(media_type=ANY_TYPE)]
ConverseBody = Annotated[ConverseIn, Body(media_type=ANY_TYPE)]


async def respond(
    context: RequestContext,
    request: GenerationRequest,
    render: Callable[[Generation], dict[str, Any]],
    ignored: Sequence[str],
) -> Response:
    """Answer ``request`` in one piece."""
    return whole(context, await context.services.generations.generate(request), render, ignored)


def whole(
    context: RequestContext,
    generation: Generation,
    render: Callable[[Generation], dict[str, Any]],
    ignored: Sequence[str],
) -> Response:
    """Return the response with ``generation`` in one piece."""
    answer_warnings = warnings.together(generation.warnings, generation.images)
    headers = {
        REQUEST_ID_HEADER: context.id,
        **warnings.headers(answer_warnings, ignored),
        **invoke_body.headers(generation),
        **cost.headers(generation.completion.usage.cost),
        **_age(generation),
    }
    return Response(
        orjson.dumps(render(generation)), media_type="application/json", headers=headers
    )


def _age(generation: Generation) -> dict[str, str]:
    """Return the ``Age`` header of a cached answer; none for a new one."""
    replay = generation.completion.replay
    return {} if replay is None else {"Age": str(round(replay.age))}


async def respond_streamed(
    context: RequestContext, request: GenerationRequest, encode: Encoder, ignored: Sequence[str]
) -> Response:
    """Answer ``request`` as an event stream."""

    async def streamed(events: AsyncIterator[GenerationEvents]) -> Streamed:
        started = await first(events)
        return frames(context, encode(events), started, ignored)

    return await opened(context.services.generations.stream(request), streamed)


def frames(
    context: RequestContext,
    encoded: AsyncGenerator[bytes],
    answer: Started | Generation,
    ignored: Sequence[str],
) -> Streamed:
    """Return the response that streams ``encoded``; ``answer`` has its warnings and pictures."""
    answer_warnings = warnings.together(answer.warnings, answer.images)
    headers = {
        REQUEST_ID_HEADER: context.id,
        **warnings.headers(answer_warnings, ignored),
        "X-Amzn-Bedrock-Content-Type": "application/json",
    }
    return Streamed(encoded, MEDIA_TYPE, headers)


def checked(context: RequestContext, model_id: str) -> tuple[str, ...]:
    """Return the names of the ignored headers.

    Raises UnknownModelError, or UnsupportedParameterError for a header that would matter.
    """
    context.services.model.check_named(model_id)
    sent = context.headers
    if _JUDGED.keys().isdisjoint(sent):
        return ()
    return _HEADERS.ignored(
        {name: sent[raw].decode("latin-1") for raw, name in _JUDGED.items() if raw in sent}
    )


# The slash of an ARN arrives decoded, so the model id may span several segments of the path.
@router.post("/{model_id:path}/invoke")
async def invoke(
    context: Context, headers: CallHeaders, model_id: str, body: InvokeBody
) -> Response:
    ignored = checked(context, model_id)
    wish = guardrail.wish(context.headers)
    request = body.to_request(context.call_context(headers, wish))
    return await respond(context, request, invoke_body.answer, ignored)


@router.post("/{model_id:path}/invoke-with-response-stream")
async def invoke_stream(
    context: Context, headers: CallHeaders, model_id: str, body: InvokeBody
) -> Response:
    ignored = checked(context, model_id)
    wish = guardrail.wish(context.headers)
    request = body.to_request(context.call_context(headers, wish))
    return await respond_streamed(context, request, invoke_body.encode, ignored)


@router.post("/{model_id:path}/converse")
async def converse(
    context: Context, headers: CallHeaders, model_id: str, body: ConverseBody
) -> Response:
    ignored = (*body.ignored(), *checked(context, model_id))
    request = body.to_request(context.call_context(headers, body.guardrail_wish()))
    if (form := body.outputConfig.form()) is not None:
        generation = output_config.with_warning(
            await context.services.structured.generate(request, form)
        )
        return whole(context, generation, converse_answer.answer, ignored)
    return await respond(context, request, converse_answer.answer, ignored)


@router.post("/{model_id:path}/converse-stream")
async def converse_stream(
    context: Context, headers: CallHeaders, model_id: str, body: ConverseBody
) -> Response:
    ignored = (*body.ignored(), *checked(context, model_id))
    request = body.to_request(context.call_context(headers, body.guardrail_wish()))
    if (form := body.outputConfig.form()) is not None:
        generation = output_config.with_warning(
            await context.services.structured.generate(request, form)
        )
        encoded = converse_answer.encode(output_config.events(generation))
        return frames(context, encoded, generation, ignored)
    return await respond_streamed(context, request, converse_answer.encode, ignored)
