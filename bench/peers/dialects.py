"""The requests that each gateway takes, and the marks of its answers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from bench.peers.load_generator import Expectation
from bench.peers.recording import ANSWER, CHUNKS, MODEL
from bench.peers.workloads import PROMPT, Requests, Shape, Workload
from bench.photos import Picture

_HERE = "@picture@"
_BOUNDARY = "bench-boundary"
_MAX_TOKENS = 256
_NATIVE_PROMPT = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
    f"{{}}{PROMPT}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One HTTP interface."""

    path: Callable[[Shape], str]
    body: Callable[[str | None, bool], dict[str, Any]]
    """A function of the picture in base64, None for text alone, and of whether to stream."""
    piece: bytes
    """The beginning of each piece of a streamed text."""
    headers: Mapping[str, str] = field(default_factory=dict)
    forms: bool = False
    """Whether it takes uploads; else it is sent the same picture as JSON."""

    def expectation(self, workload: Workload) -> Expectation:
        """Return the marks of a right answer."""
        streamed = workload.shape is Shape.STREAM
        return Expectation(self.piece, CHUNKS) if streamed else Expectation(ANSWER.encode())

    def requests(self, workload: Workload, picture: Picture | None) -> Requests:
        """Yield requests for ever, each with another picture."""
        shape = workload.shape
        if picture is None:
            body = json.dumps(self.body(None, shape is Shape.STREAM)).encode()
            return repeat((self._head(shape, len(body)) + body,))
        if shape is Shape.FORM and not self.forms:
            shape = Shape.JSON
        if shape is Shape.FORM:
            before, after = _form(self.body(None, False))
            size, spread = len(picture.data), picture.as_bytes
        else:
            text = json.dumps(self.body(_HERE, False))
            before, after = (part.encode() for part in text.split(_HERE))
            size, spread = (len(picture.data) + 2) // 3 * 4, picture.as_base64
        head = self._head(shape, len(before) + size + len(after))
        return spread(head + before, after)

    def _head(self, shape: Shape, length: int) -> bytes:
        form = f"multipart/form-data; boundary={_BOUNDARY}"
        headers = {
            "Host": "bench",
            "Content-Type": form if shape is Shape.FORM else "application/json",
            "Content-Length": str(length),
            **self.headers,
        }
        lines = [f"POST {self.path(shape)} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def direct() -> Dialect:
    """Bedrock itself."""

    def body(picture: str | None, stream: bool) -> dict[str, Any]:  # noqa: ARG001 - the path tells
        images = {"images": [picture]} if picture else {}
        prompt = _NATIVE_PROMPT.format("<|image|>" if picture else "")
        return {"prompt": prompt, "max_gen_len": _MAX_TOKENS, **images}

    def path(shape: Shape) -> str:
        operation = "invoke-with-response-stream" if shape is Shape.STREAM else "invoke"
        return f"/model/{MODEL.replace(':', '%3A')}/{operation}"

    return Dialect(path, body, b":event-type")


def ours(key: str) -> Dialect:
    """This service's own dialect."""

    def body(picture: str | None, stream: bool) -> dict[str, Any]:
        images = {"images": [picture]} if picture else {}
        streaming = {"stream": True} if stream else {}
        return {"prompt": PROMPT, "max_gen_len": _MAX_TOKENS, **images, **streaming}

    def path(shape: Shape) -> str:
        return "/v1/generate/upload" if shape is Shape.FORM else "/v1/generate"

    return Dialect(path, body, b"event: delta", {"X-API-Key": key}, forms=True)


def naive() -> Dialect:
    """`bench.peers.baseline`."""

    def body(picture: str | None, stream: bool) -> dict[str, Any]:
        image = {"image": picture} if picture else {}
        return {"prompt": PROMPT, "max_gen_len": _MAX_TOKENS, "stream": stream, **image}

    return Dialect(lambda _: "/generate", body, b'data: {"text"')


def chat(key: str, model: str) -> Dialect:
    """OpenAI's chat completions, as LiteLLM's proxy and this service take them."""

    def body(picture: str | None, stream: bool) -> dict[str, Any]:
        url = {"url": f"data:image/jpeg;base64,{picture}"}
        image = [{"type": "image_url", "image_url": url}] if picture else []
        content = [{"type": "text", "text": PROMPT}, *image] if picture else PROMPT
        return {
            "model": model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": _MAX_TOKENS,
            "stream": stream,
        }

    return Dialect(
        lambda _: "/v1/chat/completions",
        body,
        b'"delta":{"content":"',
        {"Authorization": f"Bearer {key}"},
    )


def aws(key: str, operation: str) -> Dialect:
    """This service's AWS dialect, text only: ``invoke`` or ``converse``."""
    native = direct().body

    def converse(_: str | None, stream: bool) -> dict[str, Any]:  # noqa: ARG001 - the path tells
        messages = [{"role": "user", "content": [{"text": PROMPT}]}]
        return {"messages": messages, "inferenceConfig": {"maxTokens": _MAX_TOKENS}}

    return Dialect(
        lambda _: f"/model/{MODEL}/{operation}",
        native if operation == "invoke" else converse,
        b":event-type",
        {"Authorization": f"Bearer {key}"},
    )


def _form(fields: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the bytes before and after the file of a form."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return "".join([*parts, file]).encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()
