"""The contract of every Retriever: the fake, and the adapter with the emulator."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.adapters.aws_session import aws_session
from app.adapters.bedrock.codecs.retrieve import to_retrieve
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.knowledge_base import KnowledgeBaseRetriever
from app.adapters.bedrock.runtime import open_agent_runtime
from app.domain import errors
from app.domain.metadata_filter import parse
from app.domain.ports import Retriever
from app.domain.retrieval import (
    ChunkKind,
    KnowledgeBase,
    KnowledgeBaseKind,
    QueryImage,
    RetrievalQuery,
    Search,
)
from app.emulator.config import EmulatorConfig
from tests.support.emulator.bodies import plain
from tests.support.emulator.service_shapes import newest, violations
from tests.support.emulator.serving import Served, serving
from tests.support.fakes.knowledge_base import BASE_ID, FakeRetriever, chunk

REGION = "us-west-2"
TEXTS = {"orchard.md": "The orchard sells cider.", "trains.md": "The train sells cider too."}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("documents")
    for number, (name, text) in enumerate(TEXTS.items()):
        (folder / name).write_text(text)
        about = {"metadataAttributes": {"number": number}}
        (folder / f"{name}.metadata.json").write_text(json.dumps(about))
    (folder / "red.png").write_bytes(plain())
    (folder / "red.png.words.txt").write_text("a wall")
    (folder / "talk.mp3").write_bytes(b"no sound")
    (folder / "talk.mp3.transcript.txt").write_text("Welcome to the harvest.")
    (folder / "film.mp4").write_bytes(b"no film")
    (folder / "prices.csv").write_text("item,price\nvinegar,2.20\n")
    config = EmulatorConfig(knowledge_bases={BASE_ID: str(folder)}, read_words=False)
    with serving(config) as emulator:
        yield emulator


@asynccontextmanager
async def adapter(served: Served) -> AsyncIterator[Retriever]:
    connection = Connection(REGION, served.url)
    async with open_agent_runtime(aws_session(), connection) as runtime:
        yield KnowledgeBaseRetriever({REGION: runtime})


@asynccontextmanager
async def fake(_: Served) -> AsyncIterator[Retriever]:
    yield FakeRetriever(
        [
            chunk(text, name, metadata={"number": number})
            for number, (name, text) in enumerate(TEXTS.items())
        ]
    )


def query(text: str = "cider", fault: str = "", **more: Any) -> RetrievalQuery:
    base = more.pop("base", {})
    identifier = f"{BASE_ID}.{fault}" if fault else base.pop("id", BASE_ID)
    return RetrievalQuery(
        KnowledgeBase("handbook", identifier, REGION, **base), text, more.pop("results", 5), **more
    )


@pytest.mark.parametrize("opened", [adapter, fake])
async def test_chunks_have_their_document_score_and_metadata(served, opened):
    async with opened(served) as retriever:
        chunks = await retriever.retrieve(query())

    assert {each.document for each in chunks} == set(TEXTS)
    assert all(each.uri.startswith("s3://") for each in chunks)
    assert all(each.score is not None and 0 < each.score <= 1 for each in chunks)
    assert {each.attributes["number"] for each in chunks} == {0, 1}


@pytest.mark.parametrize("opened", [adapter, fake])
async def test_a_filter_and_a_number_of_results_are_sent(served, opened):
    only = parse({"equals": {"key": "number", "value": 1}})
    async with opened(served) as retriever:
        filtered = await retriever.retrieve(query(filter=only))
        one = await retriever.retrieve(query(results=1))

    assert [each.document for each in filtered] == ["trains.md"]
    assert len(one) == 1


async def test_every_kind_of_content_is_read(served):
    image = QueryImage(plain(), "png")
    async with adapter(served) as retriever:
        (row,) = await retriever.retrieve(query("vinegar"))
        (talk,) = await retriever.retrieve(query("harvest"))
        (film,) = await retriever.retrieve(query("film"))
        (red,) = await retriever.retrieve(query("", image=image))

    assert (row.kind, row.text) == (ChunkKind.ROW, "item: vinegar\nprice: 2.20")
    assert (talk.kind, talk.text) == (ChunkKind.AUDIO, "Welcome to the harvest.")
    assert (film.kind, film.text) == (ChunkKind.VIDEO, "")
    assert (red.kind, red.picture) == (ChunkKind.IMAGE, plain())


async def test_the_request_matches_the_service_model(served):
    """The service model is botocore 1.44.8's, and the emulator accepts the request."""
    shape = newest("bedrock-agent-runtime").operation_model("Retrieve").input_shape
    reranker = f"arn:aws:bedrock:{REGION}::foundation-model/amazon.rerank-v1:0"
    wanted = parse({"notIn": {"key": "number", "value": [7]}})
    async with adapter(served) as retriever:
        for kind, search in (
            (KnowledgeBaseKind.VECTOR, Search.SEMANTIC),
            (KnowledgeBaseKind.MANAGED, None),
        ):
            base = {"kind": kind, "reranker": reranker}
            asked = query(base=base, filter=wanted, search=search, rerank=True, results=1)
            assert violations(shape, json.loads(b"".join(to_retrieve(asked)))) == []
            assert len(await retriever.retrieve(asked)) == 1
    by_picture = query("", image=QueryImage(plain(), "png"))
    assert violations(shape, json.loads(b"".join(to_retrieve(by_picture, "next")))) == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttle", errors.RetrievalThrottledError),
        ("conflict", errors.KnowledgeBaseBusyError),
        ("dependency-failed", errors.KnowledgeBaseDependencyError),
        ("bad-gateway-exception", errors.UpstreamUnavailableError),
        ("bad-gateway", errors.UpstreamUnavailableError),
        ("gateway-timeout", errors.UpstreamUnavailableError),
        ("internal", errors.UpstreamUnavailableError),
        ("denied", errors.RetrievalAccessDeniedError),
        ("bad-key", errors.UpstreamCredentialsError),
        ("quota", errors.UpstreamQuotaError),
        ("validation", errors.RetrievalRefusedError),
        ("drop", errors.UpstreamDisconnectedError),
        ("malformed", errors.RetrievalUnreadableError),
    ],
)
async def test_each_fault_has_its_error(served, fault, error):
    async with adapter(served) as retriever:
        with pytest.raises(error) as caught:
            await retriever.retrieve(query(fault=fault))

    assert type(caught.value) is error
    assert "billed" not in caught.value.detail


async def test_an_unknown_knowledge_base_is_a_configuration_error(served):
    async with adapter(served) as retriever:
        with pytest.raises(errors.KnowledgeBaseNotFoundError):
            await retriever.retrieve(query(base={"id": "NOTHINGHER"}))


async def test_an_api_key_cannot_query_and_is_not_sent(served, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", f"key-{uuid4().hex}")
    async with adapter(served) as retriever:
        assert await retriever.retrieve(query())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    async with adapter(served) as retriever:
        with pytest.raises(errors.UpstreamCredentialsError, match="API key"):
            await retriever.retrieve(query())
    seen = served.admin("GET", "requests", params={"operation": "Retrieve"})

    assert "Bearer" not in json.dumps(seen)


async def test_the_signature_is_accepted_by_aws(tmp_path):
    (tmp_path / "a.md").write_text("cider")
    config = EmulatorConfig(
        knowledge_bases={BASE_ID: str(tmp_path)},
        auth="verify",
        access_keys={"emulator": "emulator"},
        region=REGION,
    )
    with serving(config) as served:
        async with adapter(served) as retriever:
            assert len(await retriever.retrieve(query())) == 1
