"""Guardrails check retrieved chunks as they check any prompt."""

from pathlib import Path

import pytest

from tests.support.clients.sse import each
from tests.support.fakes.knowledge_base import NAME, ask, documents_served


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("documents")
    (path / "good.md").write_text("The orchard sells cider at 4.50 a bottle.")
    (path / "bad.md").write_text("The warehouse sells blockme at 9.00 a crate.")
    return path


@pytest.fixture(scope="module")
def guarded(folder):
    with documents_served(folder, guardrail_kind="apply", guardrail_id="emulator") as (client, _):
        yield client


def test_a_chunk_that_a_guardrail_blocks_is_not_answered_from(guarded):
    body = {"knowledge_base": NAME, "question": "What does the warehouse sell a crate for?"}
    refused = guarded.post("/v1/rag/query", json=body)

    assert (refused.status_code, refused.json()["code"]) == (422, "guardrail_blocked")
    assert "9.00" not in refused.text


def test_a_chunk_that_the_guardrail_passes_is_answered_from(guarded):
    assert ask(guarded, "What does cider of the orchard cost?")["answered"] is True


def test_a_blocked_chunk_is_not_answered_from_in_a_stream_either(guarded):
    body = {"knowledge_base": NAME, "question": "What does a warehouse crate cost?", "stream": True}
    with guarded.stream("POST", "/v1/rag/query", json=body) as answer:
        happened = list(each(answer))

    assert happened[-1][0] == "error"
    assert happened[-1][1]["code"] == "guardrail_blocked"
    assert "delta" not in [name for name, _ in happened]
