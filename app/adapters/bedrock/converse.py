"""Converse behind the VisionModel port."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.adapters.bedrock import converse_wire, errors
from app.domain.generation import Completion, ModelRequest

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
