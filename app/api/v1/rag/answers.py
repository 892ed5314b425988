"""Schemas of the answers of POST /v1/rag/query."""

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
    page: Annotated[
        int | None,
        Field(description="Page number from 1; null if the knowledge base does not return it."),
    ]
    kind: ChunkKind
    score: Annotated[float | None, Field(description="The score that the knowledge base returned.")]
    metadata: Annotated[dict[str, Any], Field(description="The document's own attributes.")]


class UsedOut(ChunkOut):
    """A chunk that the model was shown, or in mode `retrieve` a chunk that was found."""

    n: Annotated[int, Field(description="The chunk's number in the answer's markers, from 1.")]
    shown: Annotated[Shown, Field(description="The form in which the model was shown it.")]
    text: Annotated[
        str, Field(description="The text that was shown; empty for a picture without text.")
    ]
    cut: Annotated[bool, Field(description="Whether `text` is only the beginning of the chunk.")]
    tokens: Annotated[int | None, Field(description="Tokens of the text, or an upper bound.")]
    picture: Annotated[
        str | None,
        Field(description="A small JPEG as a data URI, if the chunk is a picture that is cited."),
    ]


class LeftOutOut(ChunkOut):
    """A chunk that was found but not shown to the model."""

    reason: Reason
    message: str


class CitationOut(ChunkOut):
    """A source that the answer cites."""

    n: Annotated[int, Field(description="The number in the source's markers: `[1]`.")]
    text: Annotated[str | None, Field(description="The chunk's text; null for a picture.")]
    picture: Annotated[str | None, Field(description="A small JPEG as a data URI.")]
    quote: Annotated[str | None, Field(description="Words of the answer that occur in the chunk.")]
    match: Annotated[
        QuoteMatch | None,
        Field(
            description="How the quote matches: `exact`; `whitespace` if blanks and line breaks "
            "count as one; `folded` if case, quotation marks and dashes are ignored too."
        ),
    ]


class SentenceOut(DeferredModel):
    """A sentence of the answer."""

    text: Annotated[str, Field(description="The sentence without markers.")]
    sources: Annotated[list[int], Field(description="Numbers of the sources that it cites.")]
    supported: Annotated[bool, Field(description="Whether a source supports it.")]


class CorrectionOut(DeferredModel):
    """A correction of the answer's citations."""

    fault: Annotated[
        CitationFault,
        Field(
            description="`unknown_marker`: the marker had no source and was removed. "
            "`quote_not_in_source`: the quote is not in its source. `quote_not_checkable`: the "
            "quote is from a picture. `unsupported_sentence`: no source supports the sentence."
        ),
    ]
    text: str
    n: int | None


class QueryOut(DeferredModel):
    """The query that was sent to the knowledge base."""

    kind: QueryKind
    text: str


class RagRetrievalOut(DeferredModel):
    """The time and the calls that retrieval took."""

    calls: int
    found: Annotated[int, Field(description="Number of chunks found.")]
    latency_ms: int
    cost_usd: Annotated[
        float | None, Field(description="The cost of retrieval; null if no price is configured.")
    ]


class RagCallOut(DeferredModel):
    """One paid call of the model."""

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
    model: Annotated[int, Field(description="Time of all calls of the model together.")]
    first_token: int | None


class RagFacts(DeferredModel):
    """All parts of an answer except its text."""

    id: str
    model: Annotated[
        str | None, Field(description="The model id; null if the model was not called.")
    ]
    knowledge_base: str
    mode: Mode
    answered: Annotated[
        bool | None,
        Field(description="Whether the documents answer the question; null in mode `retrieve`."),
    ]
    reason: Annotated[
        Unanswered | None,
        Field(
            description="Why the documents do not answer: `nothing_retrieved`, "
            "`nothing_usable`, `not_in_sources`, `refused`."
        ),
    ]
    query: QueryOut
    citations: Annotated[
        list[CitationOut], Field(description="The cited sources, in the order of the markers.")
    ]
    sentences: list[SentenceOut]
    corrections: list[CorrectionOut]
    used: list[UsedOut]
    left_out: list[LeftOutOut]
    retrieval: RagRetrievalOut
    calls: Annotated[list[RagCallOut], Field(description="The calls of the model, in order.")]
    prompt_token_count: Annotated[
        int | None, Field(description="Input tokens of all calls together.")
    ]
    generation_token_count: int | None
    total_token_count: int | None
    cost_usd: Annotated[
        CostOut | None, Field(description="Cost of all calls of the model together.")
    ]
    guardrail: Annotated[
        GuardrailOut | None,
        Field(description="The guardrails' report; null if no guardrail was called."),
    ]
    stop_reason: StopReason | None
    images: Annotated[list[ImageOut], Field(description="The pictures that the model was shown.")]
    warnings: list[WarningOut]
    target: TargetOut | None
    latency_ms: RagLatencyOut


class RagOut(RagFacts):
    """An answer from documents."""

    answer: Annotated[
        str | None,
        Field(
            description="The answer with markers `[n]`, each of which leads to one of "
            "`citations`; or null."
        ),
    ]
    generation: Annotated[
        str | None,
        Field(description="The model's raw text, before its citations were checked."),
    ]


class KnowledgeBaseOut(DeferredModel):
    """A knowledge base that the caller may ask."""

    name: str
    description: str
    kind: KnowledgeBaseKind
    image_queries: Annotated[bool, Field(description="Whether it can be queried with pictures.")]
    rerank: Annotated[bool, Field(description="Whether a model can rank its chunks again.")]
    filtered: Annotated[
        bool,
        Field(description="Whether the server restricts which of its documents the caller sees."),
    ]


class KnowledgeBaseList(DeferredModel):
    """The knowledge bases that the caller may ask."""

    knowledge_bases: list[KnowledgeBaseOut]
