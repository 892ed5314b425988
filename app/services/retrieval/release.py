"""Has a guardrail check chunks of documents, which are returned with the answer."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from app.domain.generation import CallContext
from app.domain.guardrail import GuardrailReport
from app.domain.retrieval import Chunk
from app.services.answers.schemas.conform import texts
from app.services.guardrails.document_texts import DocumentTexts, masked
from app.services.guardrails.refusal import held_back


async def released(
    chunks: tuple[Chunk, ...], documents: DocumentTexts, call_context: CallContext
) -> tuple[tuple[Chunk, ...], GuardrailReport | None]:
    """Return ``chunks``, possibly masked, with the guardrail's report.

    Raises GuardrailBlockedError if it blocks one of them, and GuardrailUnavailableError.
    """
    if not documents.judged(call_context):
        return chunks, None
    unique = list(dict.fromkeys(text for chunk in chunks for text in _texts(chunk) if text.strip()))
    judged = await documents.released(unique, call_context)
    if judged.blocked:
        raise held_back("what was found in the documents", judged.report)
    masks = judged.masks(unique)
    return tuple(_masked(chunk, masks) for chunk in chunks) if masks else chunks, judged.report


def _texts(chunk: Chunk) -> Iterator[str]:
    yield chunk.text
    yield chunk.uri
    yield from texts(chunk.metadata)


def _masked(chunk: Chunk, masks: Mapping[str, str]) -> Chunk:
    return replace(
        chunk,
        text=masks.get(chunk.text, chunk.text),
        uri=masks.get(chunk.uri, chunk.uri),
        place=chunk.location,
        metadata=masked(chunk.metadata, masks),
    )
