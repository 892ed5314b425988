"""Converse behind the VisionModel port."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.adapters.bedrock import converse_wire, errors
from app.adapters.bedrock.streaming import check_finished, primed
from app.domain.generation import Completion, ModelRequest, StreamParts

if TYPE_CHECKING:
    from types_aiobotocore_bedrock_runtime import BedrockRuntimeClient


@dataclass(frozen=True, slots=True)
class ConverseVisionModel:
    """Bedrock's own message form through Converse."""

    client: "BedrockRuntimeClient"
    model_id: str

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call, or raise an UpstreamError."""
        parameters = converse_wire.to_converse(request)
        with errors.translated():
            reply = await self.client.converse(modelId=self.model_id, **parameters)
        return converse_wire.from_converse(reply)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        parameters = converse_wire.to_converse(request)
        with errors.translated():
            reply = await self.client.converse_stream(modelId=self.model_id, **parameters)
        with closing(reply["stream"]) as events:
            yield await primed(_parts(events))


async def _parts(events: AsyncIterable[Any]) -> AsyncIterator[StreamParts]:
    decoder = converse_wire.StreamDecoder()
    with errors.translated():
        async for event in events:
            if parts := tuple(decoder.feed(event)):
                yield parts
    if parts := tuple(decoder.end()):
        yield parts
    check_finished(finished=decoder.finished)
