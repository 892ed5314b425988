"""Chat completions over a knowledge base: ``extra_body={"knowledge_base": …}``.

Pure translation in both directions: the conversation's last message is the question, earlier turns
are its history, and citations become annotations of the message.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, replace

from app.api.openai import errors
from app.api.openai.answer import (
    ChatAnnotation,
    ChatChunk,
    ChatCompletion,
    ChatDelta,
    ChatRag,
    ChatUrlCitation,
)
from app.api.openai.schemas import ChatIn, ChatKnowledgeBase
from app.api.openai.streaming import ChunkEncoder
from app.api.openai.translate import TranslatedRequest
from app.api.responses import sse
from app.domain.errors import GuardrailBlockedError, InvalidParameterError, TooManyImagesError
from app.domain.generation import (
    Completion,
    Delta,
    Failed,
    Generation,
    Latency,
    Started,
    StopReason,
)
from app.domain.metadata_filter import FilterError, MetadataFilter, parse
from app.domain.retrieval import Search
from app.domain.usage import Usage
from app.services.retrieval.request import RagAnswer, RagRequest, Surplus
from app.services.retrieval.streaming import Begun, RagEvent

NOT_ANSWERED = "The documents do not answer this."
"""The content of a message without an answer; programs should check `rag.answered`."""
_MARKER = re.compile(r"\[(\d{1,3})\]")
_NAME = "knowledge_base"


def rag_request(body: ChatIn, asked: TranslatedRequest) -> RagRequest:
    """Return the request to a knowledge base in ``body``. Raises a RequestError."""
    options = body.knowledge_base
    assert options is not None
    wanted = ChatKnowledgeBase(name=options) if isinstance(options, str) else options
    for name in ("response_format", "logprobs", "stop"):
        if getattr(body, name):
            raise InvalidParameterError.at(name, "can't be combined with a knowledge base")
    request = asked.request
    *history, last = request.turns
    if len(last.images) > 1:
        raise TooManyImagesError.at("messages", "a knowledge base takes one image at most")
    return RagRequest(
        knowledge_base=wanted.name,
        question=last.text,
        image=last.images[0] if last.images else None,
        filter=_filter(wanted),
        max_results=wanted.max_results,
        search=None if wanted.search is None else Search(wanted.search),
        rerank=wanted.rerank,
        surplus=Surplus.CONTACT_SHEET,
        history=tuple(replace(turn, images=()) for turn in history),
        system=request.system,
        sampling=request.sampling,
        call_context=request.call_context,
    )


def _filter(wanted: ChatKnowledgeBase) -> MetadataFilter | None:
    if wanted.filter is None:
        return None
    try:
        return parse(wanted.filter)
    except FilterError as error:
        place = f"{_NAME}.filter.{error.path}".rstrip(".")
        raise InvalidParameterError.at(place, error.message) from error


def completion(answer: RagAnswer, model: str) -> ChatCompletion:
    """Render ``answer`` as a completion by ``model``."""
    made = ChatCompletion.from_domain(_generation(answer, model))
    message = made.choices[0].message
    message.annotations = list(annotations(answer))
    made.rag = rag(answer)
    return made


def refused(error: GuardrailBlockedError, id: str, model: str) -> Generation:  # noqa: A002 - the
    # field's own name
    """Return the empty answer that represents a guardrail's block in this dialect."""
    usage = error.usage or Usage(0, 0)
    held = Completion("", usage, StopReason.GUARDRAIL, None, guardrail=error.report)
    return Generation(id, model, held, (), (), Latency(0, 0))


def rag(answer: RagAnswer) -> ChatRag:
    """Return the facts about ``answer`` that are not part of OpenAI's API."""
    checked = answer.checked
    return ChatRag(
        id=answer.id,
        knowledge_base=answer.knowledge_base,
        answered=checked.unanswered is None,
        reason=checked.unanswered,
        corrections=[
            {"fault": each.fault.value, "text": each.text, "n": each.n}
            for each in checked.corrections
        ],
    )


def annotations(answer: RagAnswer) -> Iterator[ChatAnnotation]:
    """Yield an annotation for each marker in the text."""
    citations = {citation.source.n: citation for citation in answer.checked.citations}
    for marker in _MARKER.finditer(answer.checked.text):
        if (citation := citations.get(int(marker[1]))) is not None:
            chunk = citation.source.chunk
            yield ChatAnnotation(
                url_citation=ChatUrlCitation(
                    url=chunk.uri,
                    title=chunk.document,
                    start_index=marker.start(),
                    end_index=marker.end(),
                    n=citation.source.n,
                    page=chunk.page,
                    score=chunk.score,
                    quote=citation.quote,
                    match=citation.match,
                )
            )


def _generation(answer: RagAnswer, model: str) -> Generation:
    """Return ``answer`` as a Generation, without tokens if the model was not called."""
    text = answer.checked.text or NOT_ANSWERED
    made = answer.generation
    if made is None:
        nothing = Completion(text, Usage(0, 0), StopReason.STOP, None, guardrail=answer.guardrail)
        latency = Latency(answer.total_ms, 0)
        return Generation(
            answer.id, model, nothing, (), answer.warnings, latency, created=answer.created
        )
    return replace(made, completion=replace(made.completion, text=text), warnings=answer.warnings)


@dataclass(frozen=True, slots=True)
class RagChunkEncoder:
    """Encodes the events of one streamed answer from documents."""

    chunks: ChunkEncoder
    model: str
    request_id: str

    async def encode(self, events: AsyncIterator[RagEvent]) -> AsyncGenerator[bytes]:
        """Encode the events after the first one; annotations are in the last chunk but one."""
        yield self.chunks.begin()
        has_text = False
        async for happened in events:
            match happened:
                case Delta(text):
                    has_text = True
                    yield self.chunks.piece(ChatDelta(content=text))
                case RagAnswer():
                    generation = _generation(happened, self.model)
                    if not has_text:
                        yield self.chunks.piece(ChatDelta(content=generation.completion.text))
                    cited = list(annotations(happened))
                    yield self.chunks.piece(ChatDelta(annotations=cited, rag=rag(happened)))
                    yield self.chunks.end(generation)
                case Failed(GuardrailBlockedError() as error):
                    yield self.chunks.end(refused(error, self.chunks.first.id, self.model))
                case Failed(error):
                    body = errors.body(error, self.request_id)
                    yield sse.data(body.model_dump_json().encode())


def first_chunk(begun: Begun, model: str) -> ChatChunk:
    """Return the chunk that begins the message of ``model``."""
    answer = begun.answer
    return ChatChunk.first(Started(answer.id, model, (), answer.warnings))
