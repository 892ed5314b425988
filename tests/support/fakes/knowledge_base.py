"""A knowledge base with a test's own chunks, and settings that configure it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.errors import ServiceError
from app.domain.metadata_filter import passes
from app.domain.retrieval import Chunk, ChunkKind, RetrievalQuery
from app.emulator.config import EmulatorConfig
from app.settings import Settings
from tests.support.emulator.serving import Served
from tests.support.emulator.serving import serving as emulating
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

BASE_ID = "KNOWLEDGE1"
NAME = "handbook"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "emulator",
    "AWS_SECRET_ACCESS_KEY": "emulator",
    "AWS_EC2_METADATA_DISABLED": "true",
    "LLAMA_VISION_USAGE_STORE": "memory",
}


def chunk(text: str, document: str = "orchard.md", **more: Any) -> Chunk:
    """Return a chunk of text."""
    return Chunk(ChunkKind.TEXT, text, f"s3://documents/{document}", 0.9, **more)


@dataclass
class FakeRetriever:
    """Returns its chunks in order, except those that the filter excludes."""

    chunks: list[Chunk] = field(default_factory=list)
    failing: list[ServiceError] = field(default_factory=list)
    """Errors raised one after another before chunks are returned."""
    leaky: bool = False
    """Whether it ignores filters."""
    queries: list[RetrievalQuery] = field(default_factory=list)

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        self.queries.append(query)
        if self.failing:
            raise self.failing.pop(0)
        found = [each for each in self.chunks if self.leaky or passes(query.filter, each.metadata)]
        return tuple(found[: query.results])


def settings(base: dict[str, Any] | None = None, **more: Any) -> Settings:
    """Return settings with one knowledge base, ``handbook``."""
    bases = {NAME: {"id": BASE_ID, **(base or {})}}
    return Settings(_env_file=None, **{"knowledge_bases": bases, **more})


def rag_rig(*chunks: Chunk, base: dict[str, Any] | None = None, **more: Any) -> Rig:
    """Return an application with a knowledge base of ``chunks``."""
    given = more.pop("settings", {})
    return Rig(
        retriever=more.pop("retriever", None) or FakeRetriever(list(chunks)),
        settings=settings(base, **given),
        **more,
    )


@contextmanager
def documents_served(
    folder: Path | None = None, base: dict[str, Any] | None = None, **more: Any
) -> Iterator[tuple[httpx.Client, Served]]:
    """Serve a knowledge base of ``folder`` from an emulator, and the service in front of it.

    Without a folder the emulator's own documents are served.
    """
    config = EmulatorConfig(knowledge_bases={BASE_ID: str(folder)}) if folder else EmulatorConfig()
    with pytest.MonkeyPatch.context() as environment, emulating(config) as emulator:
        # A fixture sets these for each test; here they are set for a whole module.
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        own = {
            "endpoint_url": emulator.url,
            "retrieval_endpoint_url": emulator.url,
            "model_id": "arn:aws:bedrock:us-west-2:123456789012:imported-model/llama32vis11",
            **more,
        }
        rig = Rig(model=None, settings=settings(base, **own))
        with serving(rig.app()) as url, httpx.Client(base_url=url, timeout=100) as client:
            yield client, emulator


def ask(client: httpx.Client, question: str = "", **body: Any) -> dict[str, Any]:
    """Send a question and return the answer."""
    given = {"knowledge_base": NAME, "question": question, **body}
    answer = client.post("/v1/rag/query", json=given)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
