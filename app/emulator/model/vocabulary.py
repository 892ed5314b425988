"""Cuts a text into tokens, and counts them.

The real Llama 3 vocabulary is used where the package that carries it is installed; without it
the count is an estimate: a piece of at most four letters or three digits, or one mark, a token.
"""

import base64
import re
from binascii import crc32
from codecs import getincrementaldecoder
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import tiktoken

# Published with the vocabulary: meta-llama/llama-models, models/llama3/tokenizer.py.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NAMED_SPECIALS = (
    "begin_of_text",
    "end_of_text",
    "reserved_special_token_0",
    "reserved_special_token_1",
    "finetune_right_pad_id",
    "step_id",
    "start_header_id",
    "end_header_id",
    "eom_id",
    "eot_id",
    "python_tag",
    "image",
)
_SPECIALS = 256
_IDS = 128_000
_ESTIMATED = re.compile(r"<\|[A-Za-z0-9_]+\|>|\s*[^\W\d_]{1,4}|\s?\d{1,3}|\s*[^\w\s]|_|\s+")
# tiktoken's splitter overflows its stack on longer texts without a break.
_ENCODED_AT_ONCE = 25_000


class Vocabulary(Protocol):
    """Turns text into tokens, as far as an emulator needs it."""

    name: str

    def count(self, text: str) -> int:
        """Return the number of tokens of ``text``, special tokens counted as one each."""
        ...

    def pieces(self, text: str) -> list[str]:
        """Return the text of each token; their join is ``text``, and some may be empty."""
        ...

    def ids(self, text: str) -> list[int]:
        """Return the id of each of its `pieces`."""
        ...


class Llama3Vocabulary:
    """The 128,256 tokens of Llama 3, from the ranks in ``tokenizer.model``."""

    name = "llama3"

    def __init__(self, encoding: "tiktoken.Encoding") -> None:
        self._encoding = encoding

    def count(self, text: str) -> int:
        """Return the number of tokens of ``text``, special tokens counted as one each."""
        return sum(len(self._encoding.encode(part, allowed_special="all")) for part in _parts(text))

    def pieces(self, text: str) -> list[str]:
        """Return the text of each token; a character cut between two goes to the later one."""
        decoder = getincrementaldecoder("utf-8")()
        return [
            decoder.decode(self._encoding.decode_single_token_bytes(token))
            for part in _parts(text)
            for token in self._encoding.encode_ordinary(part)
        ]

    def ids(self, text: str) -> list[int]:
        """Return the id of each token."""
        return [token for part in _parts(text) for token in self._encoding.encode_ordinary(part)]


class EstimatedVocabulary:
    """A guess at where tokens end, for installations without the real vocabulary."""

    name = "estimate"

    def count(self, text: str) -> int:
        """Return an estimate of the number of tokens of ``text``."""
        return len(self.pieces(text))

    def pieces(self, text: str) -> list[str]:
        """Return plausible pieces; their join is ``text``."""
        return _ESTIMATED.findall(text)

    def ids(self, text: str) -> list[int]:
        """Return a number for each piece, always the same for the same piece."""
        return [crc32(piece.encode()) % _IDS for piece in self.pieces(text)]


def _parts(text: str) -> list[str]:
    return [text[i : i + _ENCODED_AT_ONCE] for i in range(0, len(text), _ENCODED_AT_ONCE)]


def _ranks_file() -> Path | None:
    # Located without importing the package, which would pull in far more than its one file.
    package = find_spec("llama_models")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "llama3" / "tokenizer.model"
        if path.is_file():
            return path
    return None


def _ranks(path: Path) -> dict[bytes, int]:
    pairs = (line.split() for line in path.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def load() -> Vocabulary:
    """Return the best vocabulary installed. The first time takes about half a second."""
    path = _ranks_file()
    if path is None or find_spec("tiktoken") is None:
        return EstimatedVocabulary()
    return _llama3(path)


@cache
def _llama3(path: Path) -> Llama3Vocabulary:
    import tiktoken

    ranks = _ranks(path)
    reserved = (f"reserved_special_token_{2 + i}" for i in range(_SPECIALS - len(_NAMED_SPECIALS)))
    specials = {
        f"<|{name}|>": len(ranks) + i for i, name in enumerate((*_NAMED_SPECIALS, *reserved))
    }
    return Llama3Vocabulary(
        tiktoken.Encoding(
            name="llama3", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens=specials
        )
    )
