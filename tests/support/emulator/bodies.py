"""Request bodies and pictures of the emulator's tests."""

import base64
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

from PIL import Image, ImageDraw, ImageFont

DATA = Path(__file__).parents[2] / "data"
MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
BARE = MODEL.removeprefix("us.")


def imported() -> str:
    """Return an imported model's ARN that no other test uses."""
    return f"arn:aws:bedrock:us-east-1:123456789012:imported-model/{uuid4().hex[:12]}"


def own_profile() -> str:
    """Return an id of the foundation model that no other test uses."""
    return (
        f"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/{uuid4().hex[:12]}"
    )


def data_uri(image: bytes, kind: str = "png") -> str:
    """Return a picture as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def chat(text: str = "Hello", *images: bytes, **more: Any) -> str:
    """Return the body of a chat completion, its pictures before the text."""
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": data_uri(image)}} for image in images
    ]
    content: Any = [*parts, {"type": "text", "text": text}] if parts else text
    said = [{"role": "user", "content": content}]
    return json.dumps({"messages": said, "temperature": 0, "max_tokens": 512, **more})


def replied(client: Any, sent: str, model_id: str | None = None) -> dict[str, Any]:
    """Return the JSON that InvokeModel answers, from an imported model."""
    reply = client.invoke_model(modelId=model_id or imported(), body=sent)
    answer: dict[str, Any] = json.loads(reply["body"].read())
    return answer


def streamed(client: Any, sent: str, model_id: str | None = None) -> list[dict[str, Any]]:
    """Return the chunks that InvokeModelWithResponseStream answers, from an imported model."""
    reply = client.invoke_model_with_response_stream(modelId=model_id or imported(), body=sent)
    events, error = drained(reply["body"])
    assert error is None, error
    return [json.loads(event["chunk"]["bytes"]) for event in events]


def template(text: str, *, images: int = 0, system: str = "") -> str:
    """Return a prompt in Llama's template."""
    opened = f"<|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>" if system else ""
    return (
        f"<|begin_of_text|>{opened}<|start_header_id|>user<|end_header_id|>\n\n"
        f"{'<|image|>' * images}{text}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def body(text: str = "Hello", image: bytes | None = None, **more: Any) -> str:
    """Return an InvokeModel body."""
    images = [base64.b64encode(image).decode()] if image is not None else []
    fields = {"prompt": template(text, images=len(images)), "temperature": 0, **more}
    return json.dumps({**fields, "images": images} if images else fields)


def messages(text: str = "Hello", image: bytes | None = None, kind: str = "png") -> list[Any]:
    """Return Converse's messages."""
    blocks: list[Any] = [{"text": text}]
    if image is not None:
        blocks.insert(0, {"image": {"format": kind, "source": {"bytes": image}}})
    return [{"role": "user", "content": blocks}]


def invoked(client: Any, text: str, image: bytes | None = None, **more: Any) -> str:
    """Return the generation of InvokeModel at temperature 0."""
    model_id = more.pop("model_id", MODEL)
    reply = client.invoke_model(modelId=model_id, body=body(text, image, **more))
    return str(json.loads(reply["body"].read())["generation"])


def chunks(client: Any, model_id: str, **more: Any) -> list[dict[str, Any]]:
    """Return the decoded chunks of an InvokeModel stream."""
    found, error = broken_chunks(client, model_id, **more)
    assert error is None, error
    return found


def broken_chunks(
    client: Any, model_id: str, **more: Any
) -> tuple[list[dict[str, Any]], Exception | None]:
    """Return the decoded chunks until the stream ends or breaks, and what broke it."""
    reply = client.invoke_model_with_response_stream(modelId=model_id, body=body(**more))
    found, error = drained(reply["body"])
    return [json.loads(event["chunk"]["bytes"]) for event in found], error


def drained(stream: Any) -> tuple[list[dict[str, Any]], Exception | None]:
    """Return the events of a stream until it ends or breaks, and what broke it; close it."""
    found: list[dict[str, Any]] = []
    with closing(stream):
        try:
            found.extend(iter(stream))
        except Exception as error:  # noqa: BLE001 - the test checks whichever it is
            return found, error
    return found, None


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def plain(size: tuple[int, int] = (64, 48), colour: str = "red", kind: str = "PNG") -> bytes:
    """Return a picture of one colour."""
    return encoded(Image.new("RGB", size, colour), kind)


def written(*lines: str, size: tuple[int, int] = (700, 500)) -> bytes:
    """Return a picture of lines of text."""
    image = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=34)
    for index, line in enumerate(lines):
        draw.text((40, 30 + 70 * index), line, fill="black", font=font)
    return encoded(image)


def sample(name: str) -> bytes:
    """Return one of the sample files."""
    return (DATA / name).read_bytes()


def small(name: str) -> Image.Image:
    """Return a reduced sample, rotated as stored (EXIF not applied)."""
    with Image.open(DATA / name) as image:
        image.thumbnail((560, 560))
        return image.convert("RGB")
