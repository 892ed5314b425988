"""Whatever Bedrock answers, deadlines hold, keys can be revoked and others are served."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.adapters.access import key_file
from app.domain import key
from app.domain.access import Scope
from app.domain.model import Dialect
from app.settings import Settings
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.model.dialects import MODEL_IDS
from tests.support.servers.uvicorn import serving
from tests.support.service.access import RELOAD, add_key, bearer
from tests.support.service.application import Rig

COUNT = 200
BEGUN = '{"answer":'
MODEL = MODEL_IDS[Dialect.INVOKE]
LONGEST = 10_000_000
"""The length of the longest answers in characters; one in forty is this long."""
GUARD = 120
"""Seconds that the test waits for a request with a timeout of ten."""
DEADLINE = {"x-request-timeout": "10"}
PIECES = [
    *("{", "}", "[", "]", '"', "'", ",", ":", "\\", "//", "/*", "```", "a", "1", " ", "\n"),
    *('{"answer":', '"a": "', "[[", "[{", "{'", "<think>", "</think>", "...", "“", "\\u", "null"),
]
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "a": {"type": "number"}},
    "required": ["answer", "a"],
    "additionalProperties": False,
}


def pathological(number: int) -> str:
    """Return the answer with this ``number``: braces, quotes, deep nesting, or a mixture."""
    dice = random.Random(number)
    length = LONGEST if number % 40 == 39 else dice.choice([1_500, 20_000, 100_000, 262_000])
    if number % 2:
        piece = "".join(dice.choices(PIECES, k=dice.randrange(1, 4)))
        return (piece * (length // len(piece) + 1))[:length]
    weights = [dice.random() ** 4 for _ in PIECES]
    # Drawing each character at random would take longer than answering.
    mixed = "".join(dice.choices(PIECES, weights, k=min(length, 10_000)))
    return (mixed * (length // len(mixed) + 1))[:length]


async def _invoke(request: Request) -> Response:
    """Answer as InvokeModel does; the prompt contains the number of the answer."""
    prompt = (await request.json())["prompt"]
    if "number " not in prompt:
        text = "The sea is blue."
    else:
        text = pathological(int(prompt.partition("number ")[2].split()[0]))
    answer = {
        "generation": text,
        "prompt_token_count": 10,
        "generation_token_count": 20,
        "stop_reason": "stop",
    }
    return Response(json.dumps(answer), media_type="application/json")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def url(keys: Path) -> Iterator[str]:
    add_key(keys, *Scope)
    routes = [Route("/model/{id:path}/invoke", _invoke, methods=["POST"])]
    with serving(Starlette(routes=routes)) as upstream:
        settings = Settings(
            _env_file=None, endpoint_url=upstream, keys_file=keys, keys_reload=RELOAD
        )
        with serving(Rig(model=None, settings=settings).app()) as url:
            yield url


def asked(number: int) -> tuple[str, dict[str, Any]]:
    """Return path and body of the request for answer ``number``, in three forms in turn."""
    prompt = f"Give me number {number} ."
    form = {"name": "answer", "schema": SCHEMA}
    return (
        ("/v1/generate", {"prompt": prompt}),
        ("/v1/tasks/vqa", {"question": prompt, "images": [b64(ASTRONAUT)]}),
        (
            "/v1/chat/completions",
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": prompt}],
                "response_format": {"type": "json_schema", "json_schema": form},
            },
        ),
    )[number % 3]


def outcome(client: httpx.Client, number: int, key: str) -> int:
    """Return the answer's status, after checking that the paid text is not lost."""
    path, body = asked(number)
    answer = client.post(path, json=body, headers={**bearer(key), **DEADLINE})
    if path != "/v1/chat/completions" and answer.status_code == 200:
        said, text = answer.json()["generation"], pathological(number)[:40]
        # The task prefills the beginning of the answer, which the model continues.
        assert said.startswith((text, BEGUN + text))
    return answer.status_code


def test_two_hundred_pathological_answers_meet_deadlines_and_delay_nobody(url, keys):
    hostile, polite, revoked = (add_key(keys, *Scope) for _ in range(3))
    with (
        httpx.Client(base_url=url, timeout=GUARD) as client,
        ThreadPoolExecutor(12) as threads,
    ):

        def ask(text: str) -> int:
            body = {"prompt": "What is the sea?"}
            return client.post("/v1/generate", json=body, headers=bearer(text)).status_code

        # The key file was written after the start, and the last key becomes known last.
        assert next(status for _ in range(1000) if (status := ask(revoked)) != 401) == 200
        outcomes: list[Future[int]] = []
        statuses = []
        for number in range(COUNT):
            outcomes.append(threads.submit(outcome, client, number, hostile))
            if number == COUNT // 2:
                before = ask(revoked)
                key_file.write(
                    keys, [*key_file.read(keys)[:-1], key.revoke(key_file.read(keys)[-1])]
                )
                after = next(status for _ in range(1000) if (status := ask(revoked)) != 200)
            if number % 10 == 0:
                statuses.append(ask(polite))
        done = [each.result(GUARD) for each in outcomes]

    assert set(statuses) == {200}
    assert (before, after) == (200, 401)
    assert set(done) <= {200, 502, 504}, Counter(done)
