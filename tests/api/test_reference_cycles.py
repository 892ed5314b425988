"""What a request held is freed once it is answered, not when the garbage collector comes by.

Bytes count for nothing in the collector's thresholds: hundreds of pictures could wait for it.
"""

import asyncio
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, FunctionType

import httpx
import orjson
import pytest

from app.domain.errors import UpstreamUnavailableError
from app.domain.generation import Completion, ModelRequest
from fixtures.images import sample
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.documents import blank_pdf
from tests.support.files.pictures import b64
from tests.support.service.application import Rig

PNG = sample("coffee.png")
TEXT = b64(PNG)
URI = f"data:image/png;base64,{TEXT}"
CUT = PNG[: len(PNG) // 4]
MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
SPEECH = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": URI}}]
CONVERSE = {"image": {"format": "png", "source": {"bytes": TEXT}}}
ONE_ODD_PAGE = blank_pdf((400, 400), (400, 2), (400, 400))
BROKEN_FORM = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n' + PNG

Send = Callable[[httpx.Client], httpx.Response]


def json(path: str, **body: object) -> Send:
    return lambda client: client.post(path, json=body)


def form(path: str, name: str, file: bytes, **fields: str) -> Send:
    return lambda client: client.post(path, data=fields, files={name: ("a", file)})


def chat(**more: object) -> Send:
    turns = [{"role": "user", "content": SPEECH}]
    return json("/v1/chat/completions", messages=turns, model=MODEL, **more)


def asked(**more: object) -> Send:
    return json("/v1/generate", prompt="What is it?", images=[TEXT], **more)


def keyed(client: httpx.Client) -> httpx.Response:
    body = {"prompt": "What is it?", "images": [TEXT]}
    return client.post("/v1/generate", json=body, headers={"Idempotency-Key": "once"})


def half_a_form(client: httpx.Client) -> httpx.Response:
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    return client.post("/v1/generate/upload", content=BROKEN_FORM, headers=kind)


KINDS: dict[str, tuple[int, Send]] = {
    "a picture as text": (200, asked()),
    "a stream": (200, asked(stream=True)),
    "an idempotency key": (200, keyed),
    "an upload": (200, form("/v1/generate/upload", "images", PNG, prompt="What is it?")),
    "an upload that breaks off": (400, half_a_form),
    "an upload with an unknown field": (422, form("/v1/generate/upload", "images", PNG, x="1")),
    "an upload of half a picture": (422, form("/v1/generate/upload", "images", CUT, prompt="?")),
    "half a picture as text": (422, json("/v1/generate", prompt="?", images=[b64(CUT)])),
    "an unknown field": (422, asked(unknown=1)),
    "a chat": (200, chat()),
    "a chat's stream": (200, chat(stream=True)),
    "a chat that is refused": (400, chat(n=5)),
    "a response": (
        200,
        json(
            "/v1/responses",
            model=MODEL,
            input=[{"role": "user", "content": [{"type": "input_image", "image_url": URI}]}],
        ),
    ),
    "Converse": (
        200,
        json(f"/model/{MODEL}/converse", messages=[{"role": "user", "content": [CONVERSE]}]),
    ),
    "a task": (200, json("/v1/tasks/caption", images=[TEXT])),
    "a task's stream": (200, json("/v1/tasks/caption", images=[TEXT], stream=True)),
    "a task with an odd page": (200, form("/v1/tasks/ocr/upload", "images", ONE_ODD_PAGE)),
    "a prepared picture": (200, form("/v1/images/prepare", "image", PNG)),
    "an estimate": (200, json("/v1/estimate", prompt="?", images=[TEXT])),
}


@dataclass
class Kept:
    """Objects of the application that only the garbage collector would have freed."""

    objects: list[str] = field(default_factory=list)
    large: int = 0
    """Strings and bytes of 10 KB and more."""


def _of_the_application(thing: object) -> str | None:
    if isinstance(thing, FrameType):
        name = str(thing.f_globals.get("__name__", ""))
        return f"{name}.{thing.f_code.co_name}" if name.startswith("app.") else None
    named = thing if isinstance(thing, FunctionType) else type(thing)
    return (
        f"{named.__module__}.{named.__qualname__}" if named.__module__.startswith("app.") else None
    )


def _is_large(thing: object) -> bool:
    return isinstance(thing, str | bytes | bytearray) and len(thing) >= 10_000


@contextmanager
def uncollected() -> Iterator[Kept]:
    """Disable the garbage collector in the block, then return what it finds."""
    kept = Kept()
    gc.collect()
    gc.disable()
    try:
        yield kept
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kept.objects = sorted({name for o in gc.garbage if (name := _of_the_application(o))})
        kept.large = sum(map(_is_large, gc.get_referents(*gc.garbage)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.fixture(scope="module")
def model() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture(scope="module")
def client(model: FakeVisionModel) -> Iterator[httpx.Client]:
    with Rig(model).client() as client:
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_leaves_no_reference_cycles(client, kind):
    status, send = KINDS[kind]
    first = send(client)

    with uncollected() as kept:
        send(client)
        client.get("/healthz")  # by then the first one's tasks have ended

    assert first.status_code == status, first.text
    assert kept.objects == []


def test_a_failed_call_leaves_no_reference_cycles(client, model):
    model.failing = UpstreamUnavailableError("Bedrock is busy")
    send = asked()
    first = send(client)

    with uncollected() as kept:
        send(client)
        client.get("/healthz")

    model.failing = None
    assert first.status_code >= 500
    assert kept.objects == []


class EndlessModel(FakeVisionModel):
    """Never answers, and records which calls were cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.left = threading.Event(), threading.Event()

    async def generate(self, request: ModelRequest) -> Completion:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        raise AssertionError


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("share", [1, 0.5])
def test_a_caller_who_disconnects_leaves_no_picture_in_a_reference_cycle(stream, share):
    model = EndlessModel()
    body = orjson.dumps({"prompt": "What is it?", "images": [TEXT], "stream": stream})
    head = b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(body)

    def leave(client: httpx.Client) -> None:
        model.asked.clear()
        model.left.clear()
        with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as caller:
            caller.sendall(head + body[: round(share * len(body))])
            assert share < 1 or model.asked.wait(30)
        assert share < 1 or model.left.wait(30)
        client.get("/healthz")

    with Rig(model).client() as client:
        leave(client)
        with uncollected() as kept:
            leave(client)

    assert kept.large == 0
