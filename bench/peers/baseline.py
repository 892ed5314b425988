"""The service that most people would write: FastAPI, aioboto3, one client kept open."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import environ
from typing import Any

import aioboto3
import uvicorn
from aiobotocore.config import AioConfig
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
USER = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
ASSISTANT = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"


class Ask(BaseModel):
    prompt: str
    image: str | None = None
    """The picture in base64."""
    max_gen_len: int = 512
    stream: bool = False

    def call(self) -> dict[str, Any]:
        marker, images = ("<|image|>", [self.image]) if self.image else ("", None)
        body = {"prompt": f"{USER}{marker}{self.prompt}{ASSISTANT}", "images": images}
        return {"modelId": MODEL, "body": json.dumps(body | {"max_gen_len": self.max_gen_len})}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    at = {"region_name": "us-west-2", "endpoint_url": environ.get("NAIVE_ENDPOINT_URL")}
    config = AioConfig(max_pool_connections=128)
    async with aioboto3.Session().client("bedrock-runtime", config=config, **at) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/generate")
async def generate(ask: Ask, request: Request) -> Any:
    client = request.app.state.client
    if ask.stream:
        reply = await client.invoke_model_with_response_stream(**ask.call())
        return StreamingResponse(events(reply["body"]), media_type="text/event-stream")
    reply = await client.invoke_model(**ask.call())
    return json.loads(await reply["body"].read())


async def events(body: Any) -> AsyncIterator[str]:
    async for event in body:
        chunk = json.loads(event["chunk"]["bytes"])
        yield f"data: {json.dumps({'text': chunk['generation']})}\n\n"


if __name__ == "__main__":
    uvicorn.run(app, port=0, loop="uvloop", http="httptools", access_log=False)
