"""Knowledge bases, questions to them, and the chunks of documents that they return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.domain.access import Caller
from app.domain.generation import CallContext
from app.domain.metadata_filter import MetadataFilter

KEY_PREFIX = "x-amz-bedrock-kb-"
"""Prefix of the attributes that Bedrock itself adds to a chunk."""
_PAGE = f"{KEY_PREFIX}document-page-number"


class Search(StrEnum):
    """The way in which a vector store searches for chunks."""

    SEMANTIC = "semantic"
    """Search by meaning."""
    HYBRID = "hybrid"
    """Search by meaning and by words."""


class KnowledgeBaseKind(StrEnum):
    """The kind of store of a knowledge base."""

    VECTOR = "vector"
    """The operator's own vector store; Bedrock's `vectorSearchConfiguration`."""
    MANAGED = "managed"
    """Bedrock's managed store; `managedSearchConfiguration`, which has no choice of search."""


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A knowledge base as it is configured."""

    name: str
    """The name that callers use."""
    id: str = field(repr=False)
    """Bedrock's id or ARN, which callers never see."""
    region: str
    description: str = ""
    kind: KnowledgeBaseKind = KnowledgeBaseKind.VECTOR
    image_queries: bool = False
    """Whether it accepts a picture as a question."""
    reranker: str | None = None
    """ARN of the model that ranks results again; None if there is none."""
    scopes: frozenset[str] = frozenset()
    """Scopes, one of which a caller needs; empty if every caller of the endpoint may ask."""
    filter: MetadataFilter | None = None
    """The filter that is added to every question."""
    usd_per_query: float | None = None
    """US dollars for one query, ranking included; None if unknown."""
    requires_filter: bool = False
    """Whether only callers with a filter of their own may ask."""

    def open_to(self, caller: Caller) -> bool:
        """Tell whether ``caller`` may ask it."""
        if self.scopes and self.scopes.isdisjoint(caller.scopes):
            return False
        return caller.filter is not None or not self.requires_filter


@dataclass(frozen=True, slots=True)
class QueryImage:
    """A picture to search for."""

    data: bytes = field(repr=False)
    format: str
    """``png``, ``jpeg``, ``gif`` or ``webp``."""


@dataclass(frozen=True, slots=True)
class RetrievalQuery:
    """One question to a knowledge base: a text or a picture."""

    knowledge_base: KnowledgeBase
    text: str
    """The text; empty for a picture."""
    results: int
    """Maximum number of chunks, 1 to 100."""
    image: QueryImage | None = None
    filter: MetadataFilter | None = None
    """The filters of the request, the caller and the server, joined."""
    search: Search | None = None
    """The way of searching; None leaves it to Bedrock."""
    rerank: bool = False
    call_context: CallContext = field(default_factory=CallContext)


class ChunkKind(StrEnum):
    """The kind of content of a chunk."""

    TEXT = "text"
    IMAGE = "image"
    ROW = "row"
    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, as retrieved."""

    kind: ChunkKind
    text: str = field(repr=False)
    """The text, a row's columns, a transcript or a summary; empty if there is none."""
    uri: str
    """The document's place: ``s3://bucket/key``, a URL or an id; empty if unknown."""
    score: float | None = None
    picture: bytes | None = field(default=None, repr=False)
    """The picture's file; None if only its place is known."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    place: str | None = field(default=None, repr=False)
    """The address of the chunk's picture if ``uri`` is masked; otherwise None."""

    @property
    def location(self) -> str:
        """Return the address of the chunk's picture."""
        return self.uri if self.place is None else self.place

    @property
    def document(self) -> str:
        """The document's name: the last part of its place."""
        return self.uri.split("?")[0].rstrip("/").rpartition("/")[2] or self.uri

    @property
    def page(self) -> int | None:
        """The page number, from 1; None if Bedrock does not return it."""
        page = self.metadata.get(_PAGE)
        whole = isinstance(page, int | float) and not isinstance(page, bool) and page == int(page)
        return int(page) if whole and page is not None else None

    @property
    def attributes(self) -> dict[str, Any]:
        """The document's own metadata, without Bedrock's."""
        return {k: v for k, v in self.metadata.items() if not k.startswith(KEY_PREFIX)}
