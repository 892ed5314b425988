"""Writes answers from documents as JSON, as the schemas in `answers` describe them."""

from typing import Any

import orjson
import pybase64

from app.api.v1.generate import serialize as generation
from app.domain.retrieval import Chunk
from app.services.retrieval.request import Citation, LeftOut, Mode, ModelCall, RagAnswer, Source


def answer(result: RagAnswer) -> bytes:
    """Return a `RagOut` as JSON."""
    checked = result.checked
    return orjson.dumps(
        {
            "id": result.id,
            "answer": checked.text or None,
            **_facts(result),
            "generation": checked.raw or None,
        },
        default=str,
    )


def begun(result: RagAnswer) -> bytes:
    """Return a `RagStartEvent` as JSON."""
    return orjson.dumps(
        {
            "id": result.id,
            "knowledge_base": result.knowledge_base,
            "query": {"kind": result.query.kind, "text": result.query.text},
            "used": [_used(source) for source in result.used],
            "left_out": [_left_out(each) for each in result.left_out],
            "retrieval": _retrieval(result),
            "warnings": generation.warnings(result.warnings),
        },
        default=str,
    )


def citation(cited: Citation) -> bytes:
    """Return a `CitationOut` as JSON."""
    return orjson.dumps(_citation(cited), default=str)


def _facts(result: RagAnswer) -> dict[str, Any]:
    checked, made = result.checked, result.generation
    wanted = result.mode is Mode.ANSWER
    usage = None if made is None else made.completion.usage
    facts = {} if made is None else generation.facts(made)
    return {
        "model": None if made is None else made.model,
        "knowledge_base": result.knowledge_base,
        "mode": result.mode,
        "answered": checked.unanswered is None if wanted else None,
        "reason": checked.unanswered,
        "query": {"kind": result.query.kind, "text": result.query.text},
        "citations": [_citation(each) for each in checked.citations],
        "sentences": [
            {
                "text": each.sentence.text,
                "sources": each.sentence.markers,
                "supported": each.supported,
            }
            for each in checked.sentences
        ],
        "corrections": [
            {"fault": each.fault, "text": each.text, "n": each.n} for each in checked.corrections
        ],
        "used": [_used(source) for source in result.used],
        "left_out": [_left_out(each) for each in result.left_out],
        "retrieval": _retrieval(result),
        "calls": [_call(call) for call in result.calls],
        "prompt_token_count": usage and usage.prompt_token_count,
        "generation_token_count": usage and usage.generation_token_count,
        "total_token_count": usage and usage.total_token_count,
        "cost_usd": facts.get("cost_usd"),
        "guardrail": generation.guardrail(result.guardrail),
        "stop_reason": facts.get("stop_reason"),
        "images": facts.get("images", []),
        "warnings": generation.warnings(result.warnings),
        "target": facts.get("target"),
        "latency_ms": {
            "total": result.total_ms,
            "retrieval": result.retrieval.latency_ms,
            "model": 0 if made is None else made.latency.model,
            "first_token": made and made.latency.first_token,
        },
    }


def _retrieval(result: RagAnswer) -> dict[str, Any]:
    facts = result.retrieval
    return {
        "calls": facts.calls,
        "found": facts.found,
        "latency_ms": facts.latency_ms,
        "cost_usd": facts.cost_usd,
    }


def _call(call: ModelCall) -> dict[str, Any]:
    usage = call.generation.completion.usage
    return {
        "purpose": call.purpose,
        "id": call.generation.id,
        "prompt_token_count": usage.prompt_token_count,
        "generation_token_count": usage.generation_token_count,
        "cost_usd": generation.cost(usage.cost),
        "latency_ms": call.generation.latency.total,
    }


def _chunk(chunk: Chunk) -> dict[str, Any]:
    return {
        "document": chunk.document,
        "uri": chunk.uri,
        "page": chunk.page,
        "kind": chunk.kind,
        "score": chunk.score,
        "metadata": chunk.attributes,
    }


def _used(source: Source) -> dict[str, Any]:
    return {
        "n": source.n,
        **_chunk(source.chunk),
        "shown": source.shown,
        "text": source.text,
        "cut": source.cut,
        "tokens": source.tokens,
        "picture": _picture(source),
    }


def _left_out(each: LeftOut) -> dict[str, Any]:
    return {**_chunk(each.chunk), "reason": each.reason, "message": each.message}


def _citation(cited: Citation) -> dict[str, Any]:
    return {
        "n": cited.source.n,
        **_chunk(cited.source.chunk),
        "text": cited.source.text or None,
        "picture": _picture(cited.source),
        "quote": cited.quote,
        "match": cited.match,
    }


def _picture(source: Source) -> str | None:
    if source.thumbnail is None:
        return None
    return f"data:image/jpeg;base64,{pybase64.b64encode_as_string(source.thumbnail)}"
