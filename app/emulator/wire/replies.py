"""Headers that replies of more than one operation carry."""

import time
from uuid import uuid4

from app.emulator.wire.bodies.conversation import Answer
from app.emulator.wire.exchange import Headers

JSON = (b"content-type", b"application/json")


def request_id() -> tuple[bytes, bytes]:
    """Return a new request id."""
    return (b"x-amzn-requestid", str(uuid4()).encode())


def metrics(answer: Answer, latency_ms: int) -> Headers:
    """Return the token counts and the latency, as InvokeModel sends them."""
    return [
        (b"x-amzn-bedrock-invocation-latency", str(latency_ms).encode()),
        (b"x-amzn-bedrock-input-token-count", str(answer.prompt_tokens).encode()),
        (b"x-amzn-bedrock-output-token-count", str(len(answer.pieces)).encode()),
    ]


def ms_since(started: float) -> int:
    """Return the milliseconds since a `time.perf_counter` reading."""
    return round((time.perf_counter() - started) * 1000)
