"""Tokens of a whole prompt, with Llama's vocabulary where it is installed."""

import base64
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from app.adapters.bedrock.codecs import llama
from app.domain.generation import ModelRequest
from app.domain.ports import TokenCounter
from app.domain.token import CountMethod, TokenCount
from app.services.concurrency.threads import Threads

if TYPE_CHECKING:
    import tiktoken

# Published with the vocabulary: meta-llama/llama-models, models/llama3/tokenizer.py.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Those that the template uses; every other marker in a text was made harmless.
_SPECIAL = ("begin_of_text", "start_header_id", "end_header_id", "eot_id", "image")
_MARKERS = re.compile("|".join(re.escape(f"<|{name}|>") for name in _SPECIAL))
_FIXED = ("", "user", "assistant", "system", "\n\n")
"""The template's own parts between markers."""
# tiktoken's splitter overflows its stack on longer texts without a break.
_ENCODED_AT_ONCE = 25_000
_INLINE = 2_000
"""Characters up to which a thread costs more than the counting."""
_loading = Lock()


@dataclass(frozen=True, slots=True)
class ByteBound:
    """An upper bound without the vocabulary: no token is shorter than a byte."""

    threads: Threads = field(default_factory=lambda: Threads("tokens"))

    async def count(self, request: ModelRequest) -> TokenCount:
        """Return the prompt's bytes."""
        short = sum([len(turn.text) for turn in request.turns]) < _INLINE
        count = _bytes(request) if short else await self.threads.run(_bytes, request)
        return TokenCount(count, CountMethod.BOUND)


def _bytes(request: ModelRequest) -> int:
    return len(llama.render(request).encode())


@dataclass(slots=True)
class LlamaTokenCounter:
    """Counts with the model's own vocabulary, loaded in a thread at the first use (0.5 s)."""

    path: Path = field(default_factory=lambda: _found() or Path())
    threads: Threads = field(default_factory=lambda: Threads("tokens"))
    _loaded: "tiktoken.Encoding | None" = field(default=None, init=False)
    _fixed: dict[str, int] = field(default_factory=dict, init=False)
    """Tokens of the template's own parts."""

    async def count(self, request: ModelRequest) -> TokenCount:
        """Return the prompt's tokens."""
        short = (
            sum([len(turn.text) for turn in request.turns]) < _INLINE and self._loaded is not None
        )
        count = self._count(request) if short else await self.threads.run(self._count, request)
        return TokenCount(count, CountMethod.EXACT)

    def _count(self, request: ModelRequest) -> int:
        encoding = self._loaded
        if encoding is None:
            with _loading:  # so that two first requests don't both load it
                encoding = _encoding(self.path)
                self._fixed = {part: _ordinary(encoding, part) for part in _FIXED}
                self._loaded = encoding
        # Split here, as tiktoken takes a third longer to find the markers itself.
        parts = _MARKERS.split(llama.render(request))
        known = self._fixed
        counts = [known[part] if part in known else _ordinary(encoding, part) for part in parts]
        return len(parts) - 1 + sum(counts)


def _ordinary(encoding: "tiktoken.Encoding", text: str) -> int:
    starts = range(0, len(text), _ENCODED_AT_ONCE)
    parts = [text[start : start + _ENCODED_AT_ONCE] for start in starts]
    return sum([len(encoding.encode_ordinary(part)) for part in parts])


def counter() -> TokenCounter:
    """Return the best counter that is installed."""
    if _found() is None or find_spec("tiktoken") is None:
        return ByteBound()
    return LlamaTokenCounter()


def _found() -> Path | None:
    # Located without importing the package, which would pull in far more than its one file.
    package = find_spec("llama_models")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "llama3" / "tokenizer.model"
        if path.is_file():
            return path
    return None


@cache
def _encoding(path: Path) -> "tiktoken.Encoding":
    import tiktoken

    pairs = (line.split() for line in path.read_bytes().splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    specials = {f"<|{name}|>": len(ranks) + i for i, name in enumerate(_SPECIAL)}
    return tiktoken.Encoding(
        name="llama3", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens=specials
    )
