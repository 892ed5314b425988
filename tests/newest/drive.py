"""Drive an emulator's newest operations with the boto3 of the environment that runs this.

``python tests/newest/drive.py URL`` prints one line of JSON for each step and stops at the first
that fails. It imports nothing of this project: the environment has boto3 and nothing else.
"""

import base64
import json
import struct
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/imports"
SECONDS = 120


def client(service: str, url: str) -> Any:
    """Return a client of ``url`` without retries."""
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=SECONDS),
    )


def picture(width: int, height: int) -> str:
    """Return a red picture as a data URI."""
    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


class Drive:
    """The clients, and the model that the first steps import."""

    def __init__(self, url: str) -> None:
        self.control = client("bedrock", url)
        self.runtime = client("bedrock-runtime", url)
        self.agent = client("bedrock-agent-runtime", url)
        self.arn = ""

    def versions(self) -> Any:
        """Report the SDK's version."""
        return {"boto3": boto3.__version__, "botocore": botocore.__version__}

    def imports(self) -> Any:
        """Import a model and wait for it."""
        arn = self.control.create_model_import_job(
            jobName="newest-job",
            importedModelName="newest",
            roleArn=ROLE,
            modelDataSource={"s3DataSource": {"s3Uri": "s3://weights/llama/"}},
        )["jobArn"]
        end = time.monotonic() + SECONDS
        job = self.control.get_model_import_job(jobIdentifier=arn)
        while job["status"] == "InProgress" and time.monotonic() < end:
            time.sleep(0.05)
            job = self.control.get_model_import_job(jobIdentifier=arn)
        self.arn = job["importedModelArn"]
        jobs = self.control.list_model_import_jobs(statusEquals="Completed")
        return {"status": job["status"], "listed": len(jobs["modelImportJobSummaries"])}

    def models(self) -> Any:
        """Look up the model."""
        model = self.control.get_imported_model(modelIdentifier=self.arn)
        listed = self.control.list_imported_models(nameContains="newest")["modelSummaries"]
        return {
            "units": model["customModelUnits"]["customModelUnitsPerModelCopy"],
            "version": model["customModelUnits"]["customModelUnitsVersion"],
            "instruct": model["instructSupported"],
            "listed": [summary["modelName"] for summary in listed],
        }

    def chat(self) -> Any:
        """Ask about three pictures for JSON with log probabilities."""
        parts: list[Any] = [
            {"type": "image_url", "image_url": {"url": picture(30 + n, 20)}} for n in range(3)
        ]
        parts.append({"type": "text", "text": "Describe the pictures"})
        body = {
            "messages": [{"role": "user", "content": parts}],
            "max_tokens": 200,
            "response_format": {"type": "json_object"},
            "logprobs": True,
        }
        reply = self.runtime.invoke_model(modelId=self.arn, body=json.dumps(body))
        answer = json.loads(reply["body"].read())
        (choice,) = answer["choices"]
        said = "".join(score["token"] for score in choice["logprobs"]["content"])
        return {
            "object": isinstance(json.loads(choice["message"]["content"]), dict),
            "scored": said == choice["message"]["content"],
            "pictures_counted": answer["usage"]["prompt_tokens"] > 3 * 1601,
        }

    def stream(self) -> Any:
        """Read a streamed chat to its end."""
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
        reply = self.runtime.invoke_model_with_response_stream(
            modelId=self.arn, body=json.dumps(body)
        )
        chunks = [json.loads(event["chunk"]["bytes"]) for event in reply["body"]]
        reasons = [choice["finish_reason"] for c in chunks for choice in c["choices"]]
        return {"reason": reasons[-1], "usage": "usage" in chunks[-1]}

    def completions(self) -> Any:
        """Use the two text formats."""
        kinds = []
        for more in ({"max_gen_len": 20}, {"max_tokens": 20}):
            body = json.dumps({"prompt": "Hello", **more})
            reply = self.runtime.invoke_model(modelId=self.arn, body=body)
            kinds.append(json.loads(reply["body"].read()).get("object", "generation"))
        return kinds

    def refusals(self) -> Any:
        """Provoke the errors that the newest SDK has as typed exceptions."""
        url = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        body = json.dumps({"messages": [{"role": "user", "content": [url]}]})
        return [
            _code(lambda: self.runtime.invoke_model(modelId=self.arn, body=body)),
            _code(lambda: self.runtime.invoke_model(modelId=f"{self.arn}.loading", body=_HELLO)),
            _code(lambda: self.control.get_imported_model(modelIdentifier="nothing")),
        ]

    def checks(self) -> Any:
        """Score a text without a guardrail."""
        reply = self.runtime.invoke_guardrail_checks(
            messages=[{"role": "user", "content": [{"text": "a bomb, from a@b.de"}]}],
            checks={
                "contentFilter": {"categories": [{"category": "VIOLENCE"}]},
                "sensitiveInformation": {"entities": [{"type": "EMAIL"}]},
            },
        )["results"]
        (score,) = reply["contentFilter"]["results"]
        (entity,) = reply["sensitiveInformation"]["results"]
        return [score["severityScore"] > 0.5, entity["type"]]

    def retrieves(self) -> Any:
        """Find a document by a text, and a picture by a picture."""
        words = {"text": "cider"}
        seen = base64.b64decode(picture(40, 30).partition(",")[2])
        image = {"type": "IMAGE", "image": {"format": "png", "inlineContent": seen}}
        found = [
            self.agent.retrieve(knowledgeBaseId="KNOWLEDGE1", retrievalQuery=query)
            for query in (words, image)
        ]
        return [reply["retrievalResults"][0]["content"]["type"] for reply in found]

    def deletes(self) -> Any:
        """Delete the model and check that it is gone."""
        self.control.delete_imported_model(modelIdentifier=self.arn)
        return _code(lambda: self.runtime.invoke_model(modelId=self.arn, body=_HELLO))


_HELLO = json.dumps({"messages": [{"role": "user", "content": "Hello"}]})
STEPS = (
    "versions",
    "imports",
    "models",
    "chat",
    "stream",
    "completions",
    "refusals",
    "checks",
    "retrieves",
    "deletes",
)


def _code(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "answered"


def main(url: str) -> None:
    """Run every step."""
    drive = Drive(url)
    for step in STEPS:
        told = getattr(drive, step)()
        sys.stdout.write(json.dumps({"step": step, "told": told}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
