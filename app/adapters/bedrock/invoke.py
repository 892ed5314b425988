"""InvokeModel behind the VisionModel port."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.adapters.bedrock import errors, invoke_wire
from app.adapters.bedrock.streaming import check_finished, primed
from app.domain.generation import Completion, ModelRequest, StreamPart

if TYPE_CHECKING:
    from types_aiobotocore_bedrock_runtime import BedrockRuntimeClient


@dataclass(frozen=True, slots=True)
class InvokeVisionModel:
    """The native Llama body through InvokeModel."""

    client: "BedrockRuntimeClient"
    model_id: str

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call, or raise an UpstreamError."""
        body = await asyncio.to_thread(invoke_wire.to_invoke, request)
        with errors.translated():
            reply = await self.client.invoke_model(
                modelId=self.model_id, body=body, contentType="application/json"
            )
            # Left by cancellation too, which would else leave the connection open.
            async with reply["body"] as body_stream:
                answer = await body_stream.read()
        return invoke_wire.from_invoke(answer, reply["ResponseMetadata"]["HTTPHeaders"])

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamPart]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        body = await asyncio.to_thread(invoke_wire.to_invoke, request)
        with errors.translated():
            reply = await self.client.invoke_model_with_response_stream(
                modelId=self.model_id, body=body, contentType="application/json"
            )
        with closing(reply["body"]) as events:
            yield await primed(_parts(events))


async def _parts(events: AsyncIterable[Any]) -> AsyncIterator[StreamPart]:
    decoder = invoke_wire.StreamDecoder()
    with errors.translated():
        async for event in events:
            for part in decoder.feed(event.get("chunk", {}).get("bytes", b"{}")):
                yield part
    check_finished(finished=decoder.finished)
