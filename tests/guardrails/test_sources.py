"""Chunks of knowledge bases are returned with an answer and checked like it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.domain.retrieval import Chunk
from tests.support.clients.guardrail_dialects import MODEL, SETTINGS
from tests.support.clients.sse import each
from tests.support.fakes.knowledge_base import NAME, FakeRetriever, chunk, rag_rig

ENFORCE = {"X-Guardrail-Policy": "output=enforce"}
GOOD = chunk("The orchard sells cider.")
BAD = chunk("The warehouse sells blockme.", "bad.md")
MAIL = chunk("Write to ann@example.org for cider.", "ann@example.org.md")
TAGGED = chunk("The orchard sells pears.", metadata={"owner": {"says": ["blockme"]}})


@pytest.fixture(scope="module")
def retriever() -> FakeRetriever:
    return FakeRetriever()


@pytest.fixture(scope="module")
def http(retriever: FakeRetriever, emulator_url: str) -> Iterator[httpx.Client]:
    own = {"endpoint_url": emulator_url, "guardrail_stream": "audit", **SETTINGS}
    with rag_rig(retriever=retriever, settings=own).client() as http:
        yield http


def asked(http: httpx.Client, headers: dict[str, str], **more: Any) -> httpx.Response:
    body = {"knowledge_base": NAME, "question": "What is sold?", **more}
    return http.post("/v1/rag/query", json=body, headers=headers)


@pytest.mark.parametrize("bad", [BAD, TAGGED])
@pytest.mark.parametrize("mode", ["answer", "retrieve"])
def test_a_blocked_chunk_is_shown_to_nobody(http, retriever, bad: Chunk, mode):
    retriever.chunks = [GOOD, bad]
    answer = asked(http, ENFORCE, mode=mode)
    problem = answer.json()

    assert "blockme" in asked(http, {}, mode=mode).text
    assert (answer.status_code, problem["code"]) == (422, "guardrail_blocked")
    assert problem["guardrail"]["action"] == "blocked"
    assert "blockme" not in answer.text


@pytest.mark.parametrize("stream", ["buffer", "window", "audit"])
def test_a_stream_reports_a_block_as_its_only_error(http, retriever, stream):
    retriever.chunks = [GOOD, BAD]
    headers = {"X-Guardrail-Policy": f"output=enforce,stream={stream}"}
    answer = asked(http, headers, stream=True)
    events = list(each(answer))

    assert [name for name, _ in events] == ["start", "error"]
    assert events[-1][1]["code"] == "guardrail_blocked"
    assert "blockme" not in answer.text


@pytest.mark.parametrize("mode", ["answer", "retrieve"])
def test_a_mask_applies_to_a_chunks_name_too(http, retriever, mode):
    retriever.chunks = [MAIL]
    answer = asked(http, ENFORCE, mode=mode)
    said = answer.json()

    assert "ann@example" not in answer.text
    assert said["used"][0]["text"] == "Write to {EMAIL} for cider."
    assert said["guardrail"]["action"] == "masked"
    assert said["guardrail"]["cost_usd"] > 0


def test_an_audit_reports_a_chunk_and_shows_it(http, retriever):
    retriever.chunks = [BAD]
    said = asked(http, {"X-Guardrail-Policy": "output=audit"}, mode="retrieve").json()

    assert said["used"][0]["text"] == BAD.text
    assert said["guardrail"]["action"] == "audited"


@pytest.mark.parametrize("policy", ["input=enforce", "output=enforce"])
def test_a_blocked_chat_over_documents_has_finish_reason_content_filter(http, retriever, policy):
    retriever.chunks = [GOOD, BAD]
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is sold?"}],
        "knowledge_base": NAME,
    }
    headers = {"X-Guardrail-Policy": policy}
    whole = http.post("/v1/chat/completions", json=body, headers=headers)
    (choice,) = whole.json()["choices"]
    pieces = http.post("/v1/chat/completions", json={**body, "stream": True}, headers=headers)

    assert (whole.status_code, choice["finish_reason"]) == (200, "content_filter")
    assert whole.json()["guardrail"]["action"] == "blocked"
    assert '"finish_reason":"content_filter"' in pieces.text
    assert pieces.text.rstrip().endswith("data: [DONE]")
    assert "blockme" not in whole.text + pieces.text
