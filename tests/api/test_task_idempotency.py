"""Tasks under an Idempotency-Key, over a socket: equal requests share one answer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.clients.problem import problem
from tests.support.clients.sse import events
from tests.support.files.documents import FOUR_PAGES
from tests.support.files.pictures import b64
from tests.support.model.scripted import ScriptedVisionModel


@pytest.fixture
def model() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=['{"text": "HELLO"}'])


def ask(client: httpx.Client, pages: str, task: str = "ocr", **body: Any) -> httpx.Response:
    return client.post(
        f"/v1/tasks/{task}",
        json={"images": [b64(FOUR_PAGES)], "pages": pages, **body},
        headers={"idempotency-key": "k"},
    )


def test_requests_with_one_key_share_the_whole_task(client, model):
    with ThreadPoolExecutor(3) as pool:
        at_once = list(pool.map(lambda _: ask(client, "1-2"), range(3)))
    later = ask(client, "1-2").json()
    rows = client.get("/v1/usage").json()["data"]

    assert later["calls"] == len(model.requests) == 2
    assert [answer.json() for answer in at_once] == [later] * 3
    assert [(row["requests"], row["task"]) for row in rows] == [(1, "ocr")]
    assert rows[0]["prompt_tokens"] == later["prompt_token_count"]


def test_a_key_is_for_one_task_and_one_content(client, model):
    assert ask(client, "1-2").status_code == 200
    asked = len(model.requests)

    for other in (
        ask(client, "1-3"),
        ask(client, "1,3"),
        ask(client, "1-2", max_gen_len=99),
        ask(client, "1-2", language="de"),
        ask(client, "1-2", task="document-qa", question="Who?"),
        client.post("/v1/generate", json={"prompt": "?"}, headers={"idempotency-key": "k"}),
    ):
        problem(other, 422, "idempotency_conflict")
    assert len(model.requests) == asked


def test_a_stream_with_a_key_is_the_whole_answer(client, model):
    whole = ask(client, "1-2").json()
    streamed = ask(client, "1-2", stream=True)

    assert events(streamed) == [("result", whole)]
    assert len(model.requests) == 2
