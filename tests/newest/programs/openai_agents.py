"""Calls the service with openai-agents: vision, a stream, structured output. Prints JSON."""

import asyncio
import base64
import json
import sys
from importlib.metadata import version
from pathlib import Path

from agents import Agent, Runner, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel

url, picture = sys.argv[1:]
set_default_openai_client(AsyncOpenAI(base_url=f"{url}/v1", api_key="any"))
set_tracing_disabled(True)
model = "us.meta.llama3-2-11b-instruct-v1:0"
encoded = base64.b64encode(Path(picture).read_bytes()).decode()
image = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{encoded}"}
question = [
    {"role": "user", "content": [image]},
    {"role": "user", "content": "What is in this picture?"},
]


class Picture(BaseModel):
    description: str
    people: int


async def main():
    agent = Agent(name="Seer", instructions="Say what you see.", model=model)
    seen = await Runner.run(agent, question)
    streamed = Runner.run_streamed(agent, question)
    deltas = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    former = Agent(name="Former", model=model, output_type=Picture)
    formed = await Runner.run(former, question)
    return {
        "version": version("openai-agents"),
        "picture": seen.final_output,
        "stream": "".join(deltas),
        "deltas": len(deltas),
        "formed": formed.final_output.model_dump(),
    }


print(json.dumps(asyncio.run(main())))
