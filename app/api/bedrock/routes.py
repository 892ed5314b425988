"""POST /model/{id}/invoke, /converse and their streams.

Left out of the OpenAPI document: AWS's service model describes them, and their streams are frames
that no such document can tell.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.api.bedrock import converse_answer
from app.api.bedrock import invoke as invoke_body
from app.api.bedrock.converse import ConverseIn
from app.api.bedrock.errors import REQUEST_ID_HEADER
from app.api.bedrock.event_stream import MEDIA_TYPE
from app.api.bedrock.invoke import InvokeIn
from app.api.responses import cost, warnings
from app.api.responses.streaming import Streamed
from app.api.routing.asking import Asking
from app.api.routing.dependencies import AskingTerms
from app.api.unsupported_parameters import Foreign
from app.domain.errors import FieldError, UnsupportedParameterError
from app.domain.generation import Generation, GenerationEvents, GenerationRequest
from app.domain.image import Caveat

router = APIRouter(prefix="/model", include_in_schema=False)

BodyT = TypeVar("BodyT", bound=BaseModel)
Encoder = Callable[[AsyncIterator[GenerationEvents]], AsyncGenerator[bytes]]

_INLINE_BYTES = 64 * 1024
# What InvokeModel has in headers, judged as Converse's fields are.
_HEADERS = Foreign(
    harmless=frozenset({"X-Amzn-Bedrock-Trace"}),
    neutral={
        "X-Amzn-Bedrock-PerformanceConfig-Latency": ("standard",),
        "X-Amzn-Bedrock-Service-Tier": ("default",),
    },
)
_GUARDRAIL_HEADERS = ("x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of an AWS SDK."""

    request: Request
    asks: Asking
    model_id: str

    async def body(self, schema: type[BodyT]) -> BodyT:
        """Return the body as ``schema``, whatever type it is declared as: SDKs declare none."""
        self.asks.services.model.check_named(self.model_id)
        self._refuse_guardrail()
        # Those that would matter are refused before anything is spent.
        self._ignored()
        raw = await self.request.body()
        if len(raw) < _INLINE_BYTES:
            return _parsed(schema, raw)
        return await asyncio.to_thread(_parsed, schema, raw)

    def _refuse_guardrail(self) -> None:
        for name in _GUARDRAIL_HEADERS:
            if name in self.request.headers:
                message = "guardrails are set by the operator of this service, not by a request"
                fault = FieldError(name, UnsupportedParameterError.code, message)
                raise UnsupportedParameterError(f"{name}: {message}", errors=(fault,))

    def _ignored(self) -> tuple[str, ...]:
        """Return the headers that make no difference, or raise for those that would."""
        given = self.request.headers
        known = (*_HEADERS.harmless, *_HEADERS.neutral)
        return _HEADERS.ignored({name: given[name] for name in known if name in given})

    async def whole(
        self,
        request: GenerationRequest,
        render: Callable[[Generation], dict[str, Any]],
        ignored: Iterable[str] = (),
    ) -> Response:
        """Answer in one piece."""
        generation = await self.asks.whole(request)
        caveats = warnings.together(generation.warnings, generation.images)
        headers = {
            **self._headers(caveats, ignored),
            **invoke_body.headers(generation),
            **cost.headers(generation.completion.usage.cost),
        }
        return Response(
            orjson.dumps(render(generation)), media_type="application/json", headers=headers
        )

    async def pieces(
        self, request: GenerationRequest, encode: Encoder, ignored: Iterable[str] = ()
    ) -> Response:
        """Answer as an event stream."""
        started, events = await self.asks.pieces(request)
        caveats = warnings.together(started.warnings, started.images)
        headers = {
            **self._headers(caveats, ignored),
            "X-Amzn-Bedrock-Content-Type": "application/json",
        }
        return Streamed(encode(events), MEDIA_TYPE, headers)

    def _headers(self, caveats: Iterable[Caveat], ignored: Iterable[str]) -> dict[str, str]:
        listed = (*ignored, *self._ignored())
        return {REQUEST_ID_HEADER: self.asks.request_id, **warnings.headers(caveats, listed)}


def _parsed(schema: type[BodyT], raw: bytes) -> BodyT:
    try:
        return schema.model_validate_json(raw)
    except ValidationError as error:
        found = [{**dict(e), "loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]
        raise RequestValidationError(found) from error


async def _operation(request: Request, model_id: str) -> Operation:
    return Operation(request, Asking.of(request), model_id)


Called = Annotated[Operation, Depends(_operation)]


# A path's convertor: an ARN's slash arrives decoded.
@router.post("/{model_id:path}/invoke")
async def invoke(called: Called, terms: AskingTerms) -> Response:
    body = await called.body(InvokeIn)
    return await called.whole(body.to_request(terms), invoke_body.answer)


@router.post("/{model_id:path}/invoke-with-response-stream")
async def invoke_stream(called: Called, terms: AskingTerms) -> Response:
    body = await called.body(InvokeIn)
    return await called.pieces(body.to_request(terms), invoke_body.encode)


@router.post("/{model_id:path}/converse")
async def converse(called: Called, terms: AskingTerms) -> Response:
    body = await called.body(ConverseIn)
    return await called.whole(body.to_request(terms), converse_answer.answer, body.ignored())


@router.post("/{model_id:path}/converse-stream")
async def converse_stream(called: Called, terms: AskingTerms) -> Response:
    body = await called.body(ConverseIn)
    return await called.pieces(body.to_request(terms), converse_answer.encode, body.ignored())
