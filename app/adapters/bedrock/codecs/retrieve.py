"""Retrieve's JSON: a query written, and chunks read. Pure.

Source: bedrock-agent-runtime's service model in botocore 1.44.8.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import pybase64

from app.domain.errors import RetrievalUnreadableError
from app.domain.metadata_filter import written
from app.domain.retrieval import (
    KEY_PREFIX,
    Chunk,
    ChunkKind,
    KnowledgeBaseKind,
    RetrievalQuery,
)

MAX_RESULTS = 100
"""Chunks of one call."""
CANDIDATES = 4
"""Chunks that are ranked again for each wanted one."""
_RERANKING = "BEDROCK_RERANKING_MODEL"
_LOCATIONS = (
    ("s3Location", "uri"),
    ("webLocation", "url"),
    ("confluenceLocation", "url"),
    ("salesforceLocation", "url"),
    ("sharePointLocation", "url"),
    ("oneDriveLocation", "url"),
    ("googleDriveLocation", "url"),
    ("kendraDocumentLocation", "uri"),
    ("customDocumentLocation", "id"),
)


def to_retrieve(query: RetrievalQuery, next_token: str | None = None) -> tuple[bytes, ...]:
    """Return the body that asks ``query``, or for its next page of results."""
    kind = query.knowledge_base.kind
    body: dict[str, Any] = {
        "retrievalQuery": _question(query),
        "retrievalConfiguration": {f"{kind.value}SearchConfiguration": _search(query)},
    }
    if next_token is not None:
        body["nextToken"] = next_token
    return (orjson.dumps(body),)


def _question(query: RetrievalQuery) -> dict[str, Any]:
    if query.image is None:
        return {"type": "TEXT", "text": query.text}
    content = pybase64.b64encode_as_string(query.image.data)
    return {"type": "IMAGE", "image": {"format": query.image.format, "inlineContent": content}}


def _search(query: RetrievalQuery) -> dict[str, Any]:
    search: dict[str, Any] = {"numberOfResults": min(query.results, MAX_RESULTS)}
    if query.filter is not None:
        search["filter"] = written(query.filter)
    base = query.knowledge_base
    if query.search is not None and base.kind is KnowledgeBaseKind.VECTOR:
        search["overrideSearchType"] = query.search.value.upper()
    if query.rerank:
        search["numberOfResults"] = min(query.results * CANDIDATES, MAX_RESULTS)
        search |= _reranking(query)
    return search


def _reranking(query: RetrievalQuery) -> dict[str, Any]:
    model = query.knowledge_base.reranker
    managed = query.knowledge_base.kind is KnowledgeBaseKind.MANAGED
    if model is None:
        return {"rerankingModelType": "MANAGED"} if managed else {}
    reranking = {
        "type": _RERANKING,
        "bedrockRerankingConfiguration": {
            "modelConfiguration": {"modelArn": model},
            "numberOfRerankedResults": min(query.results, MAX_RESULTS),
        },
    }
    kind = {"rerankingModelType": "CUSTOM"} if managed else {}
    return {**kind, "rerankingConfiguration": reranking}


def from_retrieve(answer: bytes) -> tuple[tuple[Chunk, ...], str | None]:
    """Return an answer's chunks and the next page's token, or raise RetrievalUnreadableError."""
    try:
        document = orjson.loads(answer)
        results, token = document["retrievalResults"], document.get("nextToken")
        return tuple(_chunk(result) for result in results), token or None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise RetrievalUnreadableError("The knowledge base's answer can't be read.") from error


def _chunk(result: Mapping[str, Any]) -> Chunk:
    content, metadata = result["content"], result.get("metadata") or {}
    kind = _kind(content)
    score = result.get("score")
    picture = content.get("byteContent") if kind is ChunkKind.IMAGE else None
    return Chunk(
        kind=kind,
        text=_text(kind, content),
        uri=_uri(result.get("location") or {}) or str(metadata.get(f"{KEY_PREFIX}source-uri", "")),
        score=None if score is None else float(score),
        picture=_decoded(picture) if picture else None,
        metadata=metadata,
    )


def _kind(content: Mapping[str, Any]) -> ChunkKind:
    named = str(content.get("type", "")).lower()
    if named in list(ChunkKind):
        return ChunkKind(named)
    keys = {"byteContent": ChunkKind.IMAGE, **{kind.value: kind for kind in ChunkKind}}
    return next((kind for key, kind in keys.items() if content.get(key)), ChunkKind.TEXT)


def _text(kind: ChunkKind, content: Mapping[str, Any]) -> str:
    match kind:
        case ChunkKind.ROW:
            return "\n".join(_columns(content.get("row") or ()))
        case ChunkKind.AUDIO:
            return str((content.get("audio") or {}).get("transcription") or "")
        case ChunkKind.VIDEO:
            return str((content.get("video") or {}).get("summary") or "")
    return str(content.get("text") or "")


def _columns(row: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for column in row:
        blob = column.get("type") == "BLOB"
        yield f"{column.get('columnName')}: {'(binary)' if blob else column.get('columnValue')}"


def _uri(location: Mapping[str, Any]) -> str:
    for name, key in _LOCATIONS:
        if place := location.get(name):
            return str(place.get(key) or "")
    return ""


def _decoded(content: str) -> bytes:
    """Decode a data URI, or bare base64. Raises ValueError."""
    head, comma, data = content.partition(",")
    return pybase64.b64decode(data if comma and head.startswith("data:") else content)
