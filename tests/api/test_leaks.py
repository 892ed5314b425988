"""Marked prompts, pictures and keys appear in no log, metric or trace, only in the answer."""

import base64
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from PIL import Image, PngImagePlugin

from app import telemetry
from app.domain.errors import ModelThrottledError
from app.domain.generation import Completion, StopReason
from app.domain.usage import Usage
from app.settings import Settings
from app.telemetry.emf import EmbeddedMetrics
from tests.support.fakes.ports import FakeVisionModel
from tests.support.service.access import add_key, guarded
from tests.support.service.openapi_document import DOCUMENT

PROMPT = "MARKED-PROMPT-8c1f"
SYSTEM = "MARKED-SYSTEM-77ab"
ANSWER = "MARKED-ANSWER-03de"
PICTURE_TEXT = "MARKED-PICTURE-51c0"


class Marked(FakeVisionModel):
    async def generate(self, request):
        await super().generate(request)
        return Completion(ANSWER, Usage(3, 1), StopReason.STOP, "stop")


class Broken(FakeVisionModel):
    async def generate(self, request):
        raise RuntimeError(f"{PROMPT} {request.turns[0].text} {request.system}")


@contextmanager
def logging_as_in_service() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configured = structlog.get_config()
    root.handlers.clear()  # otherwise they would be closed
    telemetry.configure("debug")
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        # Not structlog's defaults, which print a traceback with all local variables.
        structlog.configure(**configured)


def picture() -> bytes:
    """Return a PNG whose metadata and pixels are marked."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", PICTURE_TEXT)
    image = Image.frombytes("RGB", (16, 16), (PICTURE_TEXT * 100).encode()[: 16 * 16 * 3])
    buffer = io.BytesIO()
    image.save(buffer, "png", pnginfo=info)
    return buffer.getvalue()


def calls(text: str) -> Iterator[dict[str, Any]]:
    """Yield marked requests to every endpoint, valid and invalid."""
    data = picture()
    encoded = base64.b64encode(data).decode()
    good = {"prompt": PROMPT, "system": SYSTEM, "images": [encoded]}
    bodies = (
        good,
        {**good, "stream": True},
        {**good, "images": [encoded, encoded]},
        {**good, "images": [encoded[:-9] + "????"]},
        {**good, "images": [base64.b64encode(data[:60]).decode()]},
        {**good, "temperature": PROMPT},
        {**good, PROMPT: 1},
        {**good, "raw_prompt": True},
    )
    paths = [
        (path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods
    ]
    assert ("/v1/generate", "POST") in paths
    for path, method in paths:
        if method == "GET":
            yield {"method": method, "url": path, "params": {"key": PROMPT, "x": PROMPT}}
            continue
        for body in bodies:
            yield {"method": method, "url": path, "json": body}
        broken = f'{{"prompt": "{PROMPT}", '.encode()
        yield {"method": method, "url": path, "content": broken,
               "headers": {"content-type": "application/json"}}  # fmt: skip
        form = {"data": {"prompt": PROMPT}, "files": {"images": (f"{PROMPT}.png", data)}}
        yield {"method": method, "url": path, **form}
        yield {"method": method, "url": path, "files": {"images": (PROMPT, PROMPT.encode())}}
    yield {"method": "GET", "url": f"/v1/{PROMPT}"}
    yield {"method": "PUT", "url": "/v1/generate", "headers": {"x-request-id": f"{PROMPT} x"}}


@pytest.mark.parametrize(
    "model", [Marked(), Broken(), FakeVisionModel(ModelThrottledError("later"))]
)
def test_marked_content_appears_nowhere_but_in_the_answer(tmp_path, capfd, model):
    keys = tmp_path / "keys.json"
    text = add_key(keys)
    wrong = text[:-4] + "MARK"
    rig = guarded(
        keys, limits={"tokens": "100000/hour"}, usage_store="sqlite",
        usage_file=tmp_path / "usage.sqlite3", emf_namespace="Ns",
    )  # fmt: skip
    rig.model = model
    with logging_as_in_service(), rig.client() as client:
        statuses = []
        for call in calls(text):
            headers = {"authorization": f"Bearer {text}", **call.pop("headers", {})}
            statuses.append(client.request(**call, headers=headers).status_code)
        for sent in (wrong, "MARKED.TO.KEN"):
            client.get("/v1/models", headers={"x-api-key": sent})
        metrics = client.get("/metrics", headers={"x-api-key": text}).text
        usage = client.get("/v1/usage", headers={"x-api-key": text}).text

    assert {422, 404, 405} <= set(statuses)
    logged = capfd.readouterr()
    assert logged.out.count('"event":"request"') == len(statuses) + 4
    encoded = base64.b64encode(picture()).decode()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode("latin-1")
    everything = "\n".join((logged.out, logged.err, metrics, usage, stored))
    secrets = (PROMPT, SYSTEM, ANSWER, PICTURE_TEXT, encoded[100:140], text, text.split("_", 2)[2],
               wrong[-20:], "MARKED")  # fmt: skip
    assert [secret for secret in secrets if secret in everything] == []


def test_settings_keep_their_secrets_when_printed():
    settings = Settings(
        _env_file=None,
        redis_url="redis://:hunter2@h:1/0",
        postgres_url="postgresql://u:hunter2@h:1/d",
        keys="[]",
    )

    assert "hunter2" not in f"{settings!r} {settings}"


def test_an_emf_line_goes_to_standard_output(capfd):
    EmbeddedMetrics("Ns")(telemetry.RequestRecord(model="m", attempts=1))

    assert '"Namespace":"Ns"' in capfd.readouterr().out
