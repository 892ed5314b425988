"""Answers of POST /v1/rag/query."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.responses.cost import CostOut
from app.api.responses.guardrail import GuardrailOut
from app.api.responses.warnings import WarningOut
from app.api.v1.generate.schemas import ImageOut, TargetOut
from app.domain.citation import QuoteMatch
from app.domain.generation import StopReason
from app.domain.retrieval import ChunkKind, KnowledgeBaseKind
from app.services.deferred_model import DeferredModel
from app.services.retrieval.request import CitationFault, Mode, QueryKind, Reason, Shown, Unanswered


class ChunkOut(DeferredModel):
    """A chunk of a document."""

    document: Annotated[str, Field(description="The document's name.")]
    uri: Annotated[str, Field(description="The document's place: `s3://…`, a URL or an id.")]
    page: Annotated[int | None, Field(description="From 1; null where it is not told.")]
    kind: ChunkKind
    score: Annotated[float | None, Field(description="As the knowledge base gave it.")]
    metadata: Annotated[dict[str, Any], Field(description="The document's own attributes.")]


class UsedOut(ChunkOut):
    """A chunk that the model was shown, or in mode `retrieve` one that was found."""

    n: Annotated[int, Field(description="Its number in the answer's markers, from 1.")]
    shown: Annotated[Shown, Field(description="As what the model was shown it.")]
    text: Annotated[str, Field(description="As it was shown; empty for a picture without text.")]
    cut: Annotated[bool, Field(description="Whether `text` is its beginning only.")]
    tokens: Annotated[int | None, Field(description="Of its text, or an upper bound.")]
    picture: Annotated[
        str | None,
        Field(description="A small JPEG as a data URI, where it is a picture that is cited."),
    ]


class LeftOutOut(ChunkOut):
    """A chunk that was found and not shown to the model."""

    reason: Reason
    message: str


class CitationOut(ChunkOut):
    """A source that the answer names."""

    n: Annotated[int, Field(description="The number in its markers: `[1]`.")]
    text: Annotated[str | None, Field(description="The chunk's text; null for a picture.")]
    picture: Annotated[str | None, Field(description="A small JPEG as a data URI.")]
    quote: Annotated[
        str | None, Field(description="Words of the answer that were found in the chunk.")
    ]
    match: Annotated[
        QuoteMatch | None,
        Field(
            description="How the quote agrees: `exact`; `whitespace` once blanks count as one; "
            "`folded` once case and typographic signs do too."
        ),
    ]


class SentenceOut(DeferredModel):
    """A sentence of the answer."""

    text: Annotated[str, Field(description="Without markers.")]
    sources: Annotated[list[int], Field(description="Numbers that it names.")]
    supported: Annotated[bool, Field(description="Whether a source stands behind it.")]


class CorrectionOut(DeferredModel):
    """A correction of the answer's citations."""

    fault: Annotated[
        CitationFault,
        Field(
            description="`unknown_marker`: removed, as it led nowhere. `quote_not_in_source`: "
            "forged. `quote_not_checkable`: of a picture's words. `unsupported_sentence`."
        ),
    ]
    text: str
    n: int | None


class QueryOut(DeferredModel):
    """The query that the knowledge base was asked."""

    kind: QueryKind
    text: str


class RagRetrievalOut(DeferredModel):
    """The time and the calls that retrieval took."""

    calls: int
    found: Annotated[int, Field(description="Chunks.")]
    latency_ms: int
    cost_usd: Annotated[float | None, Field(description="Null where no price is configured.")]


class RagCallOut(DeferredModel):
    """One answer of the model, paid for."""

    purpose: Literal["describe", "answer", "repair"]
    id: str
    prompt_token_count: int | None
    generation_token_count: int | None
    cost_usd: CostOut | None
    latency_ms: int


class RagLatencyOut(DeferredModel):
    """Milliseconds."""

    total: int
    retrieval: int
    model: Annotated[int, Field(description="Of all calls of the model together.")]
    first_token: int | None


class RagFacts(DeferredModel):
    """All parts of an answer except its text."""

    id: str
    model: Annotated[str | None, Field(description="Null where the model was not asked.")]
    knowledge_base: str
    mode: Mode
    answered: Annotated[
        bool | None, Field(description="Whether the documents answer; null in mode `retrieve`.")
    ]
    reason: Annotated[
        Unanswered | None,
        Field(
            description="Why not: `nothing_retrieved`, `nothing_usable`, `not_in_sources`, "
            "`refused`."
        ),
    ]
    query: QueryOut
    citations: Annotated[list[CitationOut], Field(description="In the order of the markers.")]
    sentences: list[SentenceOut]
    corrections: list[CorrectionOut]
    used: list[UsedOut]
    left_out: list[LeftOutOut]
    retrieval: RagRetrievalOut
    calls: Annotated[list[RagCallOut], Field(description="Of the model, in order.")]
    prompt_token_count: Annotated[int | None, Field(description="Of all calls together.")]
    generation_token_count: int | None
    total_token_count: int | None
    cost_usd: Annotated[CostOut | None, Field(description="Of the model's calls together.")]
    guardrail: Annotated[
        GuardrailOut | None, Field(description="The guardrails' report; null if none was asked.")
    ]
    stop_reason: StopReason | None
    images: Annotated[list[ImageOut], Field(description="Pictures as the model was shown them.")]
    warnings: list[WarningOut]
    target: TargetOut | None
    latency_ms: RagLatencyOut


class RagOut(RagFacts):
    """An answer from documents."""

    answer: Annotated[
        str | None,
        Field(description="With markers `[n]`, each of which leads to one of `citations`; or null"),
    ]
    generation: Annotated[
        str | None,
        Field(description="The model's own text, before its citations were checked."),
    ]


class KnowledgeBaseOut(DeferredModel):
    """A knowledge base that the caller may ask."""

    name: str
    description: str
    kind: KnowledgeBaseKind
    image_queries: Annotated[bool, Field(description="Whether it is asked with pictures.")]
    rerank: Annotated[bool, Field(description="Whether its chunks can be ranked again.")]
    filtered: Annotated[
        bool, Field(description="Whether the server narrows what the caller sees in it.")
    ]


class KnowledgeBaseList(DeferredModel):
    """The knowledge bases that the caller may ask."""

    knowledge_bases: list[KnowledgeBaseOut]
