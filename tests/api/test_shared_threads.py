"""No request waits for asyncio's default threads, which may all be busy."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import cache
from typing import Any

import httpx
import pytest

from app.domain.access import Scope
from app.main import create_app
from app.services.registry import Services
from app.settings import Settings
from app.wiring.resources import Edges
from app.wiring.services import open_services
from fixtures.images import encoded, photo, sample
from tests.support.files.pictures import b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.servers.uvicorn import serving
from tests.support.service.access import RELOAD, add_key, bearer

ANSWER = '{"answer": "a cat", "confidence": "high"}'
KEYED = {"idempotency-key": "once"}


@cache
def large() -> bytes:
    """Return a PNG of five megabytes, large enough to be handled in threads."""
    return encoded(photo(1500, 1100))


def fits() -> bytes:
    return sample("astronaut.png")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Yield a client of a service whose default executor is busy throughout."""
    folder = tmp_path_factory.mktemp("shared")
    end = threading.Event()
    settings = Settings(
        _env_file=None,
        keys_file=folder / "keys.json",
        keys_reload=RELOAD,
        usage_store="sqlite",
        usage_file=folder / "usage.sqlite3",
    )
    key = add_key(folder / "keys.json", *Scope)

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Services]:
        def upstreams(*_: Any) -> Any:
            return nullcontext(lambda _: ScriptedVisionModel(answers=[ANSWER]))

        async with open_services(settings, Edges(upstreams=upstreams)) as services:
            executor = ThreadPoolExecutor(1)
            executor.submit(end.wait)
            asyncio.get_running_loop().set_default_executor(executor)
            try:
                yield services
            finally:
                end.set()

    with (
        serving(create_app(settings, opened)) as url,
        httpx.Client(base_url=url, timeout=60, headers=bearer(key)) as client,
    ):
        yield client


@pytest.mark.parametrize("picture", [large, fits], ids=["decoded", "passed on"])
@pytest.mark.parametrize("headers", [{}, KEYED], ids=["without a key", "with a key"])
@pytest.mark.parametrize(
    ("path", "question"),
    [("/v1/generate", "prompt"), ("/v1/tasks/vqa", "question"), ("/v1/estimate", "prompt")],
)
def test_a_picture_is_answered_while_asyncios_own_threads_are_busy(
    client, path, question, headers, picture
):
    headers = {name: f"{value} {path} {len(picture())}" for name, value in headers.items()}
    body = {question: "What is it?", "images": [b64(picture())]}

    answer = client.post(path, json=body, headers=headers)

    assert answer.status_code == 200, answer.text


def test_a_long_prompt_is_counted_while_asyncios_own_threads_are_busy(client):
    answer = client.post("/v1/estimate", json={"prompt": "word " * 20_000})

    assert answer.status_code == 200, answer.text
