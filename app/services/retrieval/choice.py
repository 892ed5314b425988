"""Chooses the chunks to show, as text or picture, and those to leave out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.domain.retrieval import Chunk, ChunkKind
from app.services.retrieval.request import LeftOut, Reason

_SILENT: Mapping[ChunkKind, tuple[Reason, str]] = {
    ChunkKind.AUDIO: (Reason.AUDIO, "a recording without a transcription"),
    ChunkKind.VIDEO: (Reason.VIDEO, "a video without a summary"),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that can be shown, with its rank."""

    rank: int
    """The chunk's rank, from 0 for the best."""
    chunk: Chunk

    @property
    def is_picture(self) -> bool:
        """Whether it is shown to the model as a picture."""
        return self.chunk.kind is ChunkKind.IMAGE


@dataclass(frozen=True, slots=True)
class Choice:
    """The chunks that can be shown, best first, and those that can't."""

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]


def choose(chunks: Iterable[Chunk]) -> Choice:
    """Return the chunks that can be shown, each content once."""
    candidates: list[Candidate] = []
    left_out: list[LeftOut] = []
    seen: set[object] = set()
    for rank, chunk in enumerate(chunks):
        content = (chunk.text.strip(), chunk.picture or (chunk.uri if not chunk.text else ""))
        if content in seen:
            left_out.append(LeftOut(chunk, Reason.DUPLICATE, "a better chunk has the same content"))
        elif (refusal := _unusable(chunk)) is not None:
            left_out.append(LeftOut(chunk, *refusal))
        else:
            seen.add(content)
            candidates.append(Candidate(rank, chunk))
    return Choice(tuple(candidates), tuple(left_out))


def _unusable(chunk: Chunk) -> tuple[Reason, str] | None:
    if chunk.text.strip():
        return None
    if chunk.kind in _SILENT:
        return _SILENT[chunk.kind]
    if chunk.kind is ChunkKind.IMAGE and (chunk.picture or chunk.location.startswith("s3://")):
        return None
    return Reason.EMPTY, "nothing in it can be shown"
