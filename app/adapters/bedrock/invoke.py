"""InvokeModel behind the VisionModel port."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.adapters.bedrock import errors, invoke_wire
from app.domain.generation import Completion, ModelRequest

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
            answer = await reply["body"].read()
        return invoke_wire.from_invoke(answer, reply["ResponseMetadata"]["HTTPHeaders"])
