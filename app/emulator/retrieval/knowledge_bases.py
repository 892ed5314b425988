"""The knowledge bases of a configuration: indexed once, then asked."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.emulator.model.model import ToyModel
from app.emulator.model.sight.pixels import measured
from app.emulator.retrieval import filters, request
from app.emulator.retrieval.folder import Chunk, chunks
from app.emulator.retrieval.index import Hit, Index, reranked
from app.emulator.retrieval.request import Query
from app.emulator.wire.errors import NOT_FOUND, AwsError


class KnowledgeBases:
    """Answers Retrieve from folders."""

    def __init__(self, folders: Mapping[str, str], model: ToyModel) -> None:
        self._folders = {identifier: Path(folder) for identifier, folder in folders.items()}
        self._model = model
        self._indexes: dict[str, Index] = {}
        self._lock = asyncio.Lock()
        self._opening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to index every folder; queries wait until that is done.

        Pictures take seconds each, unless their words stand beside them.
        """
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        for identifier in self._folders:
            await self._index(identifier)

    async def close(self) -> None:
        """Stop indexing."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)

    async def _index(self, identifier: str) -> Index:
        async with self._lock:
            if identifier not in self._indexes:
                work = self._indexed(self._folders[identifier])
                self._indexes[identifier] = await self._model.in_reading_thread(work)
            return self._indexes[identifier]

    def _indexed(self, folder: Path) -> Callable[[], Index]:
        return lambda: Index(chunks(folder, self._model.read))

    async def retrieve(self, identifier: str, body: bytes) -> dict[str, Any]:
        """Return the answer of Retrieve, or raise an AwsError."""
        name = identifier.rpartition("/")[2]
        if name not in self._folders:
            raise AwsError(NOT_FOUND, f"Knowledge Base with id {name} does not exist.")
        query, index = request.parse(body), await self._index(name)
        return await self._model.in_thread(lambda: _answer(name, index, query))


def _answer(name: str, index: Index, query: Query) -> dict[str, Any]:
    hits = index.by_pixels(measured(query.picture)) if query.picture else index.by_words(query.text)
    if query.filter is not None:
        wanted = query.filter
        hits = [hit for hit in hits if filters.passes(wanted, hit.chunk.metadata)]
    if query.reranked is not None:
        hits = reranked(hits, query.text)[: query.reranked]
    end = query.start + query.results
    page = [_result(name, hit) for hit in hits[query.start : end]]
    return {
        "retrievalResults": page,
        **({"nextToken": query.token(end)} if end < len(hits) else {}),
    }


def _result(name: str, hit: Hit) -> dict[str, Any]:
    uri = f"s3://{name.lower()}/{hit.chunk.document}"
    about = {"x-amz-bedrock-kb-source-uri": uri, "x-amz-bedrock-kb-data-source-id": f"{name[:9]}0"}
    return {
        "content": _content(hit.chunk, uri),
        "location": {"type": "S3", "s3Location": {"uri": uri}},
        "metadata": {**hit.chunk.metadata, **about},
        "score": hit.score,
    }


def _content(chunk: Chunk, uri: str) -> dict[str, Any]:
    match chunk.kind:
        case "ROW":
            columns = [
                {"columnName": name, "columnValue": value, "type": "STRING"}
                for name, value in chunk.row
            ]
            return {"type": "ROW", "row": columns}
        case "AUDIO":
            told = {"transcription": chunk.said} if chunk.said else {}
            return {"type": "AUDIO", "audio": {"s3Uri": uri, **told}}
        case "VIDEO":
            told = {"summary": chunk.said} if chunk.said else {}
            return {"type": "VIDEO", "video": {"s3Uri": uri, **told}}
        case "TEXT":
            return {"type": "TEXT", "text": chunk.text}
    encoded = base64.b64encode(chunk.path.read_bytes()).decode()
    kind = chunk.metadata["x-amz-bedrock-kb-source-file-mime-type"]
    return {"type": "IMAGE", "byteContent": f"data:{kind};base64,{encoded}"}
