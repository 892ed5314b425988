"""Records the emulator's answers, byte for byte, for `bench.peers.upstream` to replay.

So a gateway reads Bedrock's own wire format, while the stand-in costs next to nothing.
"""

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

from fixtures.process import running

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
ANSWER = "The sea is wide and blue. It moves all day and rests at night."
CHUNKS = 100
LONG_ANSWER = "sea" + " sea" * (CHUNKS - 1)
"""As many pieces as words: the emulator sends one in each frame."""
PROMPT = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
    "Describe the sea.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
SIGNED = {
    "Accept": "application/json",
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/bedrock/aws4_request,"
    f" SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
    "X-Amz-Date": "20261123T000000Z",
}
"""Headers of a call that the emulator answers, as it does not verify signatures by default."""
_NATIVE = {"prompt": PROMPT, "max_gen_len": 256, "temperature": 0}
_CONVERSE = {
    "messages": [{"role": "user", "content": [{"text": "Describe the sea."}]}],
    "inferenceConfig": {"maxTokens": 256, "temperature": 0},
}
_ASKED = {
    "invoke": (_NATIVE, ANSWER),
    "converse": (_CONVERSE, ANSWER),
    "invoke-with-response-stream": (_NATIVE, LONG_ANSWER),
    "converse-stream": (_CONVERSE, LONG_ANSWER),
}


def replies() -> dict[str, bytes]:
    """Return whole HTTP replies of an emulator by operation."""
    found: dict[str, bytes] = {}
    for answer in (ANSWER, LONG_ANSWER):
        with running("app.emulator", "--port", "0", "--fixed-answer", answer) as emulator:
            for operation, (body, expected) in _ASKED.items():
                if expected == answer:
                    found[operation] = ask(emulator.url, operation, json.dumps(body).encode())
    for operation, reply in found.items():
        if not reply.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the emulator refused {operation}: {reply!r}")
    if found["invoke-with-response-stream"].count(b":event-type") != CHUNKS:
        raise RuntimeError(f"the emulator's stream has not {CHUNKS} frames")
    return found


def ask(url: str, operation: str, body: bytes) -> bytes:
    """Return the whole HTTP reply to one call of the model, as it came over the wire."""
    return ask_path(url, f"/model/{MODEL.replace(':', '%3A')}/{operation}", body)


def ask_path(url: str, path: str, body: bytes) -> bytes:
    """Return the whole HTTP reply to a POST."""
    address = urlsplit(url)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in SIGNED.items())
        + "\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        reply = b""
        while not whole(reply):
            more = connection.recv(65_536)
            if not more:
                raise RuntimeError(f"the emulator hung up after {reply!r}")
            reply += more
        return reply


def whole(reply: bytes) -> bool:
    """Whether an HTTP reply is there to its end."""
    head, split, body = reply.partition(b"\r\n\r\n")
    fields = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if not split:
        return False
    if b"content-length" in fields:
        return len(body) >= int(fields[b"content-length"])
    return body.endswith(b"0\r\n\r\n")


def write(folder: Path) -> None:
    """Record into ``folder``, a file for each operation."""
    for operation, reply in replies().items():
        (folder / operation).write_bytes(reply)
