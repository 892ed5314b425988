"""One replica's answer under an Idempotency-Key is repeated by another, for every endpoint."""

import uuid
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from app.services.receipts.verification import opened
from fixtures.images import photo
from tests.support.files.documents import tiff
from tests.support.files.pictures import b64
from tests.support.service.openapi_document import DOCUMENT

pytestmark = pytest.mark.xdist_group("postgres")

PAGES = b64(tiff([photo(64, 48), photo(48, 64)]))
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["kind", "count"],
}
TURNS = [{"role": "user", "content": [{"text": "Why is the sky blue?"}]}]
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "several pictures": (
        "/v1/generate",
        {"prompt": "What?", "images": [PAGES, PAGES], "image_strategy": "each"},
    ),
    "several pictures, one of them broken": (
        "/v1/generate",
        {"prompt": "What?", "images": [PAGES, "Tm8="], "image_strategy": "each"},
    ),
    "pages": ("/v1/tasks/ocr", {"images": [PAGES]}),
    "pages in a stream": (
        "/v1/tasks/document-qa",
        {"images": [PAGES], "question": "Who?", "stream": True},
    ),
    "a schema": (
        "/v1/chat/completions",
        {
            "messages": [{"role": "user", "content": "How many?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA},
            },
        },
    ),
    "a stream": ("/v1/generate", {"prompt": "Why?", "stream": True}),
    "documents in a chat": (
        "/v1/chat/completions",
        {
            "messages": [{"role": "user", "content": "How much is a day ticket?"}],
            "knowledge_base": "sample",
        },
    ),
    "documents in a stream": (
        "/v1/rag/query",
        {"knowledge_base": "sample", "question": "How much is a day ticket?", "stream": True},
    ),
    "an SDK of AWS": ("/model/{model}/converse", {"messages": TURNS}),
}


def cases() -> Iterator[Any]:
    """Yield path and JSON body of every operation with the header in the OpenAPI document."""
    for path, methods in DOCUMENT["paths"].items():
        post = methods.get("post", {})
        names = {parameter["name"] for parameter in post.get("parameters", ())}
        if "Idempotency-Key" not in names or path.endswith("/upload"):
            continue
        examples = post["requestBody"]["content"]["application/json"]["examples"]
        assert examples, path
        for name, example in examples.items():
            yield pytest.param(path, example["value"], id=f"{path} {name}")
    for name, (path, body) in MORE.items():
        yield pytest.param(path, body, id=name)


@pytest.mark.parametrize(("path", "body"), list(cases()))
def test_another_replica_returns_an_answer_without_a_call(rehearsal, path, body):
    model = rehearsal.three.settings["MODEL_ID"]
    if "model" in body or path.startswith("/v1/chat"):
        body = {**body, "model": model}
    path, headers = path.format(model=model), {"Idempotency-Key": uuid.uuid4().hex}

    first, *others = (
        rehearsal.request(url, "POST", path, json=body, headers=headers)
        for url in rehearsal.three.urls()
    )
    asked = rehearsal.calls()
    again = rehearsal.request(rehearsal.balanced, "POST", path, json=body, headers=headers)

    assert first.status_code == 200, first.text
    assert [each.text for each in (*others, again)] == [first.text] * 3
    assert rehearsal.calls() == asked


def test_another_replicas_receipt_proves_the_calls_that_made_the_answer(rehearsal):
    def ask(url: str) -> tuple[dict[str, Any], str]:
        answer = rehearsal.ask(url, rehearsal.key, "Why?", idempotency_key=once, prefer="receipt")
        keys = rehearsal.request(url, "GET", "/.well-known/jwks.json").json()
        return opened(answer.headers["receipt"], keys), sha256(answer.content).hexdigest()

    once = uuid.uuid4().hex
    (made, _), (repeated, answer) = map(ask, rehearsal.three.urls()[:2])

    assert (made["shared"], repeated["shared"]) == (False, True)
    assert repeated["calls"] == made["calls"]
    assert repeated["answer"]["sha256"] == answer
