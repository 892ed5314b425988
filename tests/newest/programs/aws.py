"""Calls the service with boto3: a text, a picture, a stream. Prints the answers as JSON."""

import json
import sys
from pathlib import Path

import boto3

url, picture = sys.argv[1:]
client = boto3.client(
    "bedrock-runtime",
    region_name="us-west-2",
    endpoint_url=url,
    aws_access_key_id="any",
    aws_secret_access_key="any",
)
model = "us.meta.llama3-2-11b-instruct-v1:0"


def asked(*content):
    return {"modelId": model, "messages": [{"role": "user", "content": [*content]}]}


question = {"text": "What is in this picture?"}
image = {"image": {"format": "png", "source": {"bytes": Path(picture).read_bytes()}}}
text = client.converse(**asked({"text": "Why?"}))
seen = client.converse(**asked(image, question))
events = [*client.converse_stream(**asked(image, question))["stream"]]
native = client.invoke_model(modelId=model, body=json.dumps({"prompt": "Why?"}))
deltas = [
    event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event
]
print(
    json.dumps(
        {
            "version": boto3.__version__,
            "text": text["output"]["message"]["content"][0]["text"],
            "picture": seen["output"]["message"]["content"][0]["text"],
            "stream": "".join(deltas),
            "deltas": len(deltas),
            "native": json.loads(native["body"].read())["generation"],
        }
    )
)
