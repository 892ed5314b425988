"""Queries a knowledge base with a caller's question: by text, by picture or by both."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from app.domain.citation import without_markers
from app.domain.errors import InvalidParameterError, RetrievalRefusedError
from app.domain.generation import Generation, GenerationRequest, ImageInput, Role, Sampling, Turn
from app.domain.image import AnswerWarning, ImageReport, ReceivedImage
from app.domain.metadata_filter import passes
from app.domain.ports import Retriever
from app.domain.retrieval import Chunk, KnowledgeBase, QueryImage, RetrievalQuery
from app.services.generation.service import GenerationService
from app.services.retrieval.directory import effective_filter
from app.services.retrieval.request import AskedQuery, QueryKind, RagRequest, RetrievalFacts
from app.telemetry import current

log = structlog.get_logger()

DESCRIBE = (
    "Describe this picture in two or three sentences, so that documents about the same can be "
    "found: what it shows, and the words that stand in it."
)
MAX_TEXT = 20_000
"""Maximum characters of a query in Bedrock."""
_RANK_OFFSET = 60
"""The constant of reciprocal rank fusion, as its authors chose it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The chunks, and the query that found them."""

    query: AskedQuery
    chunks: tuple[Chunk, ...]
    facts: RetrievalFacts
    picture: ImageReport | None = None
    """The caller's own picture, prepared."""
    description: Generation | None = None
    """The model's paid description of it."""
    warnings: tuple[AnswerWarning, ...] = ()


@dataclass(slots=True)
class _Asked:
    """The queries of one question."""

    results: list[tuple[Chunk, ...]] = field(default_factory=list)
    latency_ms: int = 0


@dataclass(frozen=True, slots=True)
class ChunkSearch:
    """Finds chunks for a question."""

    retriever: Retriever
    generations: GenerationService

    async def findings(self, request: RagRequest, base: KnowledgeBase) -> Findings:
        """Return the findings, or raise one of `app.domain.errors`."""
        text = query_text(request)
        if request.image is None:
            asked = await self._ask([self._query(request, base, text=text)])
            return self._found(request, base, AskedQuery(QueryKind.TEXT, text), asked)
        picture = await self._prepared(request.image)
        if not base.image_queries:
            return await self._by_description(request, base, picture)
        image = QueryImage(picture.prepared.data, picture.prepared.media_type.short_name)
        queries = [self._query(request, base, image=image)]
        kind = QueryKind.PICTURE
        if text:
            queries.append(self._query(request, base, text=text))
            kind = QueryKind.TEXT_AND_PICTURE
        result = self._found(request, base, AskedQuery(kind, text), await self._ask(queries))
        unranked = request.rerank and not text
        return replace(result, picture=picture, warnings=_unranked() if unranked else ())

    async def _by_description(
        self, request: RagRequest, base: KnowledgeBase, picture: ImageReport
    ) -> Findings:
        """Have the model describe the picture, and search for the description."""
        context = replace(request.call_context, idempotency_key=None)
        description = await self.generations.generate(
            GenerationRequest(
                turns=(Turn(Role.USER, DESCRIBE, (received(picture),)),),
                sampling=Sampling(temperature=0, max_gen_len=160),
                call_context=context,
            )
        )
        parts = (query_text(request), description.completion.text.strip())
        text = "\n".join(part for part in parts if part)[:MAX_TEXT]
        asked = await self._ask([self._query(request, base, text=text)])
        result = self._found(request, base, AskedQuery(QueryKind.DESCRIPTION, text), asked)
        message = "the knowledge base takes no pictures: the model's description was searched for"
        warning = AnswerWarning("picture_described", message)
        return replace(result, picture=picture, description=description, warnings=(warning,))

    async def _prepared(self, image: ImageInput) -> ImageReport:
        async with self.generations.sources.fetched(image) as fetched:
            return await self.generations.preparer.prepare(fetched)

    def _query(
        self,
        request: RagRequest,
        base: KnowledgeBase,
        *,
        text: str = "",
        image: QueryImage | None = None,
    ) -> RetrievalQuery:
        return RetrievalQuery(
            knowledge_base=base,
            text=text,
            image=image,
            results=request.max_results,
            filter=effective_filter(request, base),
            search=request.search,
            # A reranking model reads texts.
            rerank=request.rerank and image is None,
            call_context=request.call_context,
        )

    async def _ask(self, queries: Sequence[RetrievalQuery]) -> _Asked:
        began = time.perf_counter()
        results = await asyncio.gather(*map(self._retrieve, queries))
        return _Asked(list(results), round((time.perf_counter() - began) * 1000))

    async def _retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        try:
            return await self.retriever.retrieve(query)
        except RetrievalRefusedError as error:
            caller = query.call_context.call.caller
            if caller.filter is None and query.knowledge_base.filter is None:
                raise
            # Bedrock may quote the filter, a part of which is not the caller's.
            message = "Amazon Bedrock refused the retrieval; the log says why."
            log.warning("retrieval refused", knowledge_base=query.knowledge_base.name)
            raise RetrievalRefusedError(message) from error

    def _found(
        self, request: RagRequest, base: KnowledgeBase, query: AskedQuery, asked: _Asked
    ) -> Findings:
        merged = fused(asked.results, request.max_results)
        wanted = effective_filter(request, base)
        # Checked once more in plain Python: chunks that a store lets slip must not be shown.
        chunks = tuple(chunk for chunk in merged if passes(wanted, chunk.metadata))
        if withheld := len(merged) - len(chunks):
            current().chunks_withheld += withheld
            log.warning("chunks withheld", knowledge_base=base.name, chunks=withheld)
        calls = len(asked.results)
        price = base.usd_per_query
        facts = RetrievalFacts(
            calls=calls,
            latency_ms=asked.latency_ms,
            found=len(chunks),
            cost_usd=None if price is None else round(price * calls, 10),
        )
        return Findings(query, chunks, facts)


def query_text(request: RagRequest) -> str:
    """Return the question after the previous one, without which ``and why?`` finds nothing."""
    earlier = [turn.text for turn in request.history if turn.role is Role.USER][-1:]
    text = "\n".join(without_markers(each).strip() for each in (*earlier, request.question))
    if not text.strip() and request.image is None:
        raise InvalidParameterError.at("question", "give a question, a picture, or both")
    # Of a long text the end, which is the question.
    return text.strip()[-MAX_TEXT:]


def received(report: ImageReport) -> ReceivedImage:
    """Return a prepared picture as an image of a request to the model."""
    prepared = report.prepared
    return ReceivedImage(prepared.data, prepared.media_type.value, "image")


def fused(results: Sequence[tuple[Chunk, ...]], most: int) -> tuple[Chunk, ...]:
    """Merge the results of several queries by reciprocal ranks."""
    if len(results) == 1:
        return results[0][:most]
    scores: dict[tuple[str, str, int | None], float] = {}
    chunks: dict[tuple[str, str, int | None], Chunk] = {}
    for ranked in results:
        for rank, chunk in enumerate(ranked, 1):
            key = (chunk.uri, chunk.text, chunk.page)
            scores[key] = scores.get(key, 0) + 1 / (_RANK_OFFSET + rank)
            chunks.setdefault(key, chunk)
    best = sorted(scores, key=lambda key: -scores[key])[:most]
    return tuple(chunks[key] for key in best)


def _unranked() -> tuple[AnswerWarning, ...]:
    message = "a reranking model reads texts: results for the picture alone were not ranked again"
    return (AnswerWarning("not_reranked", message),)
