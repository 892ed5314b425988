"""Validates JPEG's Huffman and quantisation tables and reduces them to what a proof needs.

Most files use one of few tables, so the results are cached.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import mul
from typing import NamedTuple

HUFFMAN_SLOTS = frozenset({0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13})
MOST_HUFFMAN = len(HUFFMAN_SLOTS) * (17 + 256)
"""Maximum bytes of a segment, which fills every slot once; more would only cost time."""
MOST_QUANTISERS = 4 * (1 + 64 * 2)
_ROOM = tuple(1 << 16 - length for length in range(1, 17))
"""The part of the code tree that a code of each length takes."""


class Huffman(NamedTuple):
    """One Huffman table."""

    end: tuple[int, int] | None
    """The code of symbol 0 (end of block) and its length in bits, or None."""


class Quantisers(NamedTuple):
    """The quantisation tables of one segment."""

    slots: frozenset[int]
    mean: float
    """The mean divisor of the first table, which is the coarseness of brightness."""


@lru_cache(maxsize=256)
def _huffman(payload: bytes) -> Mapping[int, Huffman] | None:
    tables: dict[int, Huffman] = {}
    at = 0
    while at + 17 <= len(payload):
        slot, counts = payload[at], payload[at + 1 : at + 17]
        # The tree must not overflow at any code length.
        space = sum(map(mul, counts, _ROOM))
        symbols = payload[at + 17 : at + 17 + sum(counts)]
        if slot not in HUFFMAN_SLOTS or space > 0xFFFF or len(symbols) > 256 or not symbols:
            return None
        if slot < 4 and max(symbols) > 15:
            return None
        tables[slot] = _reduced(counts, symbols)
        at += 17 + sum(counts)
    return tables if at == len(payload) else None


def _reduced(counts: bytes, symbols: bytes) -> Huffman:
    code, at, end = 0, 0, None
    for length, count in enumerate(counts, 1):
        place = symbols.find(0, at, at + count)
        if place >= 0 and end is None:
            end = (code + place - at, length)
        code, at = (code + count) << 1, at + count
    return Huffman(end)


def huffman(payload: bytes) -> Mapping[int, Huffman] | None:
    """Return the tables of a DHT segment by slot, or None if any is malformed."""
    return _huffman(payload) if len(payload) <= MOST_HUFFMAN else None


@lru_cache(maxsize=256)
def _quantisers(payload: bytes) -> Quantisers | None:
    slots, at, mean = set(), 0, 0.0
    while at < len(payload):
        precision, slot = payload[at] >> 4, payload[at] & 15
        size = 64 * (precision + 1)
        table = payload[at + 1 : at + 1 + size]
        if precision > 1 or slot > 3 or len(table) != size:
            return None
        divisors: Sequence[int] = table
        if precision:
            divisors = [a << 8 | b for a, b in zip(table[::2], table[1::2], strict=True)]
        if not all(divisors):
            # Strict decoders refuse a table with a zero divisor.
            return None
        mean = mean or sum(divisors) / 64
        slots.add(slot)
        at += 1 + size
    return Quantisers(frozenset(slots), mean)


def quantisers(payload: bytes) -> Quantisers | None:
    """Return the tables of a DQT segment, or None if any is malformed."""
    return _quantisers(payload) if len(payload) <= MOST_QUANTISERS else None
