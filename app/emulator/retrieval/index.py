"""Chunks in a full-text index, found by their words (BM25) or by their pixels."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

from app.emulator.model.sight.pixels import Pixels
from app.emulator.model.wording import meaningful, stem, tokens
from app.emulator.retrieval.folder import Chunk

_TABLE = "CREATE VIRTUAL TABLE chunks USING fts5(text, tokenize='porter unicode61')"
_QUERY = "SELECT rowid, bm25(chunks) FROM chunks WHERE chunks MATCH ? ORDER BY 2"
_WORDS = 100


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found."""

    chunk: Chunk
    score: float
    """0 to 1, the best first."""


class Index:
    """The chunks of one knowledge base."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = list(chunks)
        self._lock = Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(_TABLE)
        rows = ((number, chunk.text) for number, chunk in enumerate(self._chunks))
        self._database.executemany("INSERT INTO chunks (rowid, text) VALUES (?, ?)", rows)

    def by_words(self, question: str) -> list[Hit]:
        """Return the chunks that hold a word of the question."""
        words = list(dict.fromkeys(meaningful(question) or tokens(question)))[:_WORDS]
        if not words:
            return []
        wanted = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            rows = self._database.execute(_QUERY, (wanted,)).fetchall()
        hits = [
            Hit(self._chunks[row], _score(self._chunks[row], words, -rank)) for row, rank in rows
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.document))

    def by_pixels(self, pixels: Pixels) -> list[Hit]:
        """Return the pictures, the most alike first."""
        pictures = [chunk for chunk in self._chunks if chunk.pixels is not None]
        hits = [Hit(chunk, _likeness(chunk.pixels, pixels)) for chunk in pictures if chunk.pixels]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.document))


def reranked(hits: list[Hit], question: str) -> list[Hit]:
    """Return the hits, starting with those whose words follow each other as in the question."""
    words = [stem(word) for word in meaningful(question)]
    pairs = set(pairwise(words))

    def score(hit: Hit) -> float:
        words = [stem(word) for word in meaningful(hit.chunk.text)]
        shared = len(pairs & set(pairwise(words))) / len(pairs) if pairs else 0
        return round(0.5 * hit.score + 0.5 * shared, 6)

    return sorted((Hit(hit.chunk, score(hit)) for hit in hits), key=lambda hit: -hit.score)


def _score(chunk: Chunk, words: list[str], rank: float) -> float:
    held = set(map(stem, tokens(chunk.text)))
    share = sum(stem(word) in held for word in words) / len(words)
    rank = max(rank, 0.0)
    return round(0.7 * share + 0.3 * rank / (1 + rank), 6)


def _likeness(one: Pixels, other: Pixels) -> float:
    different = (int(one.fingerprint, 16) ^ int(other.fingerprint, 16)).bit_count() / 64
    shares, others = dict(one.colours), dict(other.colours)
    names = shares.keys() | others.keys()
    apart = sum(abs(shares.get(name, 0) - others.get(name, 0)) for name in names) / 200
    return round(1 - 0.5 * different - 0.5 * min(apart, 1), 6)
