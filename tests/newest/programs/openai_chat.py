"""Calls the service with OpenAI's SDK: a text, a picture, a stream. Prints answers as JSON."""

import base64
import json
import sys
from pathlib import Path

import openai

url, picture = sys.argv[1:]
client = openai.OpenAI(base_url=f"{url}/v1", api_key="any")
model = "us.meta.llama3-2-11b-instruct-v1:0"
encoded = base64.b64encode(Path(picture).read_bytes()).decode()
image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}


def asked(*content):
    return {"model": model, "messages": [{"role": "user", "content": [*content]}]}


question = {"type": "text", "text": "What is in this picture?"}
text = client.chat.completions.create(**asked({"type": "text", "text": "Why?"}))
seen = client.chat.completions.create(**asked(image, question))
chunks = [*client.chat.completions.create(**asked(image, question), stream=True)]
deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
print(
    json.dumps(
        {
            "version": openai.__version__,
            "text": text.choices[0].message.content,
            "picture": seen.choices[0].message.content,
            "stream": "".join(filter(None, deltas)),
            "deltas": len([*filter(None, deltas)]),
            "models": [model.id for model in client.models.list()],
        }
    )
)
