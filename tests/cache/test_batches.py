"""Batch rows, pages of tasks and jobs use the cache: cached answers cost nothing."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.domain.access import ANONYMOUS, Call
from app.domain.generation import CallContext, ModelRequest
from app.services.access import kept_caller
from app.settings import Settings
from tests.support.files.documents import FOUR_PAGES
from tests.support.files.pictures import b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.service.application import Rig

PATIENCE = 60.0
ASYNC = {"Prefer": "respond-async"}


def _said(request: ModelRequest) -> str:
    return json.dumps({"text": f"{len(request.turns[0].images)} pictures"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    folder = tmp_path_factory.mktemp("data")
    own: dict[str, Any] = {"cache": "on", "cache_sampled": True, "data_directory": folder}
    return Rig(ScriptedVisionModel(answering=_said), settings=Settings(_env_file=None, **own))


@pytest.fixture(scope="module")
def http(made: Rig) -> Iterator[httpx.Client]:
    with made.client() as http:
        yield http


def asked(made: Rig) -> int:
    return len(made.model.requests)


def row(number: int, url: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": str(number), "method": "POST", "url": url, "body": body}


def batched(http: httpx.Client, endpoint: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a batch to its end and return its rows' bodies, in order."""
    content = "".join(json.dumps(each) + "\n" for each in rows)
    sent = {"file": ("rows.jsonl", content)}
    file = http.post("/v1/files", files=sent, data={"purpose": "batch"}).json()
    body = {"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"}
    batch = http.post("/v1/batches", json=body).json()
    until = time.monotonic() + PATIENCE
    while batch["status"] != "completed":
        assert time.monotonic() < until, batch
        time.sleep(0.05)
        batch = http.get(f"/v1/batches/{batch['id']}").json()
    results = http.get(f"/v1/files/{batch['output_file_id']}/content").text.splitlines()
    told = sorted(map(json.loads, results), key=lambda each: each["custom_id"])
    return [each["response"]["body"] for each in told]


def test_rows_answered_before_cost_nothing(http, made):
    known = http.post("/v1/generate", json={"prompt": "known"}).json()
    before = asked(made)
    rows = [row(n, "/v1/generate", prompt=p) for n, p in enumerate(["known", "new", "new"])]
    first, second, third = batched(http, "/v1/generate", *rows)

    assert known["cached"] is False
    assert asked(made) == before + 1
    assert (first["cached"], first["cost_usd"]["total"]) == (True, 0)
    assert first["prompt_token_count"] == known["prompt_token_count"]
    assert sorted([second["cached"], third["cached"]]) == [False, True]
    (again, *_) = batched(http, "/v1/generate", *rows)
    assert again["cached"] is True
    assert asked(made) == before + 1


def test_rows_in_the_openai_dialect_share_cached_answers(http, made):
    http.post("/v1/generate", json={"prompt": "of two dialects", "max_gen_len": 64})
    before = asked(made)
    body = {
        "model": "us.meta.llama3-2-11b-instruct-v1:0",
        "messages": [{"role": "user", "content": "of two dialects"}],
        "max_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
    }
    (answer,) = batched(http, "/v1/chat/completions", row(0, "/v1/chat/completions", **body))

    assert answer["cached"] is True
    assert asked(made) == before


def test_batch_rows_and_jobs_share_the_cached_pages_of_requests(http, made):
    body = {"images": [b64(FOUR_PAGES)], "pages": "1-2"}
    here = http.post("/v1/tasks/ocr", json=body).json()
    before = asked(made)
    (in_a_row,) = batched(http, "/v1/tasks/ocr", row(0, "/v1/tasks/ocr", **body))
    job = http.post("/v1/tasks/ocr", json=body, headers=ASYNC).json()
    job = http.get(f"/v1/jobs/{job['id']}", params={"wait": 25}).json()
    in_a_job = job["response"]["body"]

    assert asked(made) == before
    for again in (in_a_row, in_a_job):
        assert (again["cached"], again["cost_usd"]["total"]) == (True, 0)
        assert again["result"] == here["result"]


def test_only_an_added_page_of_a_task_is_paid_for(http, made):
    body = {"images": [b64(FOUR_PAGES)], "pages": "1-2"}
    http.post("/v1/tasks/ocr", json=body)
    before = asked(made)
    answer = http.post("/v1/tasks/ocr", json={**body, "pages": "1-3"}).json()

    assert asked(made) == before + 1
    assert answer["cached"] is False
    assert answer["cost_usd"]["saved"] > 0


def test_a_cached_answer_adds_no_cost_to_usage(http):
    http.post("/v1/generate", json={"prompt": "known"})
    before = http.get("/v1/usage").json()["data"]
    batched(http, "/v1/generate", row(0, "/v1/generate", prompt="known"))
    after = http.get("/v1/usage").json()["data"]

    assert sum(r["cost_usd"] for r in after) == sum(r["cost_usd"] for r in before)


def test_anonymous_callers_at_different_addresses_share_no_answers_in_jobs_either():
    near, far = (replace(ANONYMOUS, address=address) for address in ("10.0.0.1", "10.0.0.2"))
    later = [
        CallContext(Call(kept_caller.read(caller.id, kept_caller.written(caller))))
        for caller in (near, far)
    ]

    assert [context.caller for context in later] == ["10.0.0.1", "10.0.0.2"]
    assert CallContext(address="10.0.0.1").caller == "10.0.0.1"
