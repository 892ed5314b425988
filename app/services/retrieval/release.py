"""Chunks of documents as a guardrail lets them be shown: they go out with the answer."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.domain.generation import CallContext
from app.domain.guardrail import GuardrailReport
from app.domain.retrieval import Chunk
from app.services.guardrails.document_texts import DocumentTexts
from app.services.guardrails.refusal import held_back


async def released(
    chunks: tuple[Chunk, ...], texts: DocumentTexts, call_context: CallContext
) -> tuple[tuple[Chunk, ...], GuardrailReport | None]:
    """Return ``chunks``, masked perhaps, with what the guardrail said.

    Raises GuardrailBlockedError where it blocks one of them, and GuardrailUnavailableError.
    """
    if not texts.judged(call_context):
        return chunks, None
    told = list(dict.fromkeys(text for chunk in chunks for text in _texts(chunk) if text.strip()))
    judged = await texts.released(told, call_context)
    if judged.blocked:
        raise held_back("what was found in the documents", judged.report)
    masks = {
        text: shown
        for text, shown in zip(told, judged.texts, strict=True)
        if shown is not None and shown != text
    }
    return tuple(_masked(chunk, masks) for chunk in chunks) if masks else chunks, judged.report


def _texts(chunk: Chunk) -> Iterator[str]:
    yield chunk.text
    yield chunk.uri
    yield from _strings(chunk.metadata)


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _strings(member)


def _masked(chunk: Chunk, masks: Mapping[str, str]) -> Chunk:
    return replace(
        chunk,
        text=masks.get(chunk.text, chunk.text),
        uri=masks.get(chunk.uri, chunk.uri),
        place=chunk.location,
        metadata=_with(chunk.metadata, masks),
    )


def _with(value: Any, masks: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return masks.get(value, value)
    if isinstance(value, Mapping):
        return {name: _with(member, masks) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with(member, masks) for member in value]
    return value
