"""Retrieve behind the Retriever port, over connections of our own, signed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlsplit

from app.adapters.bedrock.codecs.retrieve import from_retrieve, to_retrieve
from app.adapters.bedrock.retrieval_errors import translated
from app.adapters.bedrock.runtime import INLINE, Runtime
from app.domain.retrieval import Chunk, RetrievalQuery

MAX_PAGES = 5
"""Calls of one query: where a store gives few results at a time."""


@dataclass(frozen=True, slots=True)
class KnowledgeBaseRetriever:
    """Queries knowledge bases through Retrieve."""

    runtimes: Mapping[str, Runtime]
    """Runtimes of bedrock-agent-runtime, by region."""

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        """Return the chunks found, best first, or raise an UpstreamError."""
        chunks: list[Chunk] = []
        token: str | None = None
        for _ in range(MAX_PAGES):
            page, token = await self._page(query, token)
            chunks += page
            if token is None or not page or len(chunks) >= query.results:
                break
        return tuple(chunks[: query.results])

    async def _page(
        self, query: RetrievalQuery, token: str | None
    ) -> tuple[tuple[Chunk, ...], str | None]:
        runtime = self.runtimes[query.knowledge_base.region]
        identifier = quote(query.knowledge_base.id, safe="-._~")
        path = f"{urlsplit(runtime.endpoint).path}/knowledgebases/{identifier}/retrieve"
        size = len(query.text) + (len(query.image.data) * 4 // 3 if query.image else 0)
        with translated():
            answer, _ = await runtime.call(path, partial(to_retrieve, query, token), size)
        if len(answer) < INLINE:
            return from_retrieve(answer)
        return await runtime.threads.run(from_retrieve, answer)
