"""Questions to a knowledge base, and the answers to them."""

import time
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.citation import QuoteMatch, Sentence
from app.domain.generation import CallContext, Generation, ImageInput, Sampling, Turn
from app.domain.guardrail import GuardrailReport
from app.domain.image import AnswerWarning, PreparedImage
from app.domain.metadata_filter import MetadataFilter
from app.domain.model import Language
from app.domain.retrieval import Chunk, Search


class Mode(StrEnum):
    """The kind of result: an answer, or only the chunks."""

    ANSWER = "answer"
    """An answer with citations."""
    RETRIEVE = "retrieve"
    """Only the chunks, without calling the model."""


class Surplus(StrEnum):
    """The treatment of more pictures than the model takes."""

    CONTACT_SHEET = "contact_sheet"
    """The pictures are laid out on one picture, each under its number."""
    CAPTIONS = "captions"
    """They are replaced by their texts in the knowledge base."""
    LEAVE_OUT = "leave_out"


@dataclass(frozen=True, slots=True)
class RagRequest:
    """A caller's question."""

    knowledge_base: str
    """The knowledge base's configured name."""
    question: str = ""
    image: ImageInput | None = None
    """A picture to search for or ask about."""
    filter: MetadataFilter | None = None
    max_results: int = 5
    search: Search | None = None
    rerank: bool = False
    mode: Mode = Mode.ANSWER
    surplus: Surplus = Surplus.CONTACT_SHEET
    history: tuple[Turn[ImageInput], ...] = ()
    """Earlier questions and answers, the user first and the assistant last."""
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    language: Language | None = None
    call_context: CallContext = field(default_factory=CallContext)


class QueryKind(StrEnum):
    """The kind of query that was sent to the knowledge base."""

    TEXT = "text"
    PICTURE = "picture"
    TEXT_AND_PICTURE = "text_and_picture"
    """One query with each; the results were merged."""
    DESCRIPTION = "description"
    """With the model's description of a picture, as the knowledge base takes no pictures."""


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """The query as it was sent to the knowledge base."""

    kind: QueryKind
    text: str
    """Empty if it was only a picture."""


class Shown(StrEnum):
    """How the model was shown a chunk."""

    TEXT = "text"
    PICTURE = "picture"
    CONTACT_SHEET = "contact_sheet"
    CAPTION = "caption"
    NOT_SHOWN = "not_shown"
    """The chunk was not shown to the model: the mode is `retrieve`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A chunk and the number by which an answer cites it."""

    n: int
    chunk: Chunk
    text: str
    """The text that the model was shown."""
    shown: Shown
    place: str = ""
    """The place where the model sees the picture, in words: ``picture 2``."""
    tokens: int | None = None
    cut: bool = False
    """Whether the text is only the beginning of the chunk."""
    picture: PreparedImage | None = None
    thumbnail: bytes | None = None
    """A small JPEG of the picture."""


class Reason(StrEnum):
    """Why a chunk was not shown to the model."""

    DUPLICATE = "duplicate"
    EMPTY = "empty"
    AUDIO = "audio"
    """Audio without a transcription."""
    VIDEO = "video"
    """Video without a summary."""
    NO_ROOM = "no_room"
    """The chunk does not fit into the prompt."""
    TOO_MANY_PICTURES = "too_many_pictures"
    NO_CAPTION = "no_caption"
    PICTURE_UNUSABLE = "picture_unusable"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A chunk that was found and not shown."""

    chunk: Chunk
    reason: Reason
    message: str


class Unanswered(StrEnum):
    """Why there is no answer."""

    NOTHING_RETRIEVED = "nothing_retrieved"
    """The knowledge base found nothing; the model was not called."""
    NOTHING_USABLE = "nothing_usable"
    """All chunks were left out; the model was not called."""
    NOT_IN_SOURCES = "not_in_sources"
    """The model says that its sources do not answer the question."""
    REFUSED = "refused"
    """The model, or a guardrail, refused to answer."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A source that an answer names."""

    source: Source
    quote: str | None = None
    """Words found in the source; None if the answer quotes none."""
    match: QuoteMatch | None = None
    """How the quote matches its source."""


class CitationFault(StrEnum):
    """The kind of fault of a citation."""

    UNKNOWN_MARKER = "unknown_marker"
    """A marker led to no source; it was removed."""
    QUOTE_NOT_IN_SOURCE = "quote_not_in_source"
    """A quote is not in the sources that its sentence names, and is ignored."""
    QUOTE_NOT_CHECKABLE = "quote_not_checkable"
    """A quote of words in a picture, which was not read."""
    UNSUPPORTED_SENTENCE = "unsupported_sentence"
    """A sentence names no source, or none that supports it."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One fault of an answer."""

    fault: CitationFault
    text: str
    """The marker, the quote or the sentence at fault."""
    n: int | None = None
    """The source that it named."""


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A sentence of an answer, and whether a source supports it."""

    sentence: Sentence
    supported: bool


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer after its citations were checked."""

    text: str
    """The answer with markers ``[n]`` that all lead to a source; empty if there is no answer."""
    unanswered: Unanswered | None
    """None if the question was answered."""
    citations: tuple[Citation, ...] = ()
    sentences: tuple[CheckedSentence, ...] = ()
    corrections: tuple[Correction, ...] = ()
    raw: str = ""
    """The model's own text."""


@dataclass(frozen=True, slots=True)
class RetrievalFacts:
    """The calls, time, cost and results of retrieval."""

    calls: int
    latency_ms: int
    found: int
    """Number of chunks."""
    cost_usd: float | None
    """None if the price of a query is not configured."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One paid answer of the model."""

    purpose: str
    """``describe``, ``answer`` or ``repair``."""
    generation: Generation


@dataclass(frozen=True, slots=True)
class RagAnswer:
    """The answer to a question."""

    id: str
    knowledge_base: str
    mode: Mode
    query: AskedQuery
    checked: CheckedAnswer
    used: tuple[Source, ...]
    left_out: tuple[LeftOut, ...]
    retrieval: RetrievalFacts
    calls: tuple[ModelCall, ...]
    generation: Generation | None
    """All calls combined; None if the model was not called."""
    warnings: tuple[AnswerWarning, ...]
    total_ms: int
    guardrail: GuardrailReport | None = None
    """The report on the chunks and the model's calls; None if no guardrail was called."""
    created: int = field(default_factory=lambda: int(time.time()))
    """Time of creation in Unix seconds; a repeated answer keeps its original time."""
