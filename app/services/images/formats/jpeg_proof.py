"""Prove that a JPEG's structure is whole without decoding it."""

from operator import mul
from typing import NamedTuple

FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Start-of-frame markers that every decoder reads: baseline, extended, progressive."""
OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
"""Lossless, hierarchical and arithmetic-coded."""
TABLES = frozenset({0xC4, 0xDB, 0xDD})
"""Huffman tables, quantisation tables, restart interval."""
SOS, EOI = 0xDA, 0xD9
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a payload, beside EOI."""
HUFFMAN_SLOTS = frozenset({0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13})
MOST_HUFFMAN = len(HUFFMAN_SLOTS) * (17 + 256)
"""Bytes of a segment that fills every slot once; checking more would only cost time."""
_ROOM = tuple(1 << 16 - length for length in range(1, 17))
"""What a code of each length takes of the tree."""


class Segment(NamedTuple):
    """One marker with its payload; ``start`` and ``end`` span the marker too."""

    marker: int
    start: int
    end: int
    payload: bytes


class Proof:
    """Follows a file's segments and tells whether a decoder will find all that it needs.

    Damage inside a scan shows in the picture but stops no decoder; a missing or malformed
    table does.
    """

    def __init__(self) -> None:
        self._quantisers: set[int] = set()
        self._huffman: set[int] = set()
        self._components: dict[int, int] = {}
        self._progressive = False
        self._seen: set[int] = set()
        self.whole = False
        """The end was reached with every component drawn."""

    def add(self, segment: Segment) -> bool:
        """Take the next segment; False where it is malformed or lacks what it refers to."""
        marker, payload = segment.marker, segment.payload
        if segment.end - segment.start != len(payload) + (2 if marker == EOI else 4):
            return False
        if marker == 0xDB:
            return self._quantisation(payload)
        if marker == 0xC4:
            return self._entropy(payload)
        if marker in FRAMES:
            return self._frame(marker, payload)
        if marker == SOS:
            return self._scan(payload)
        if marker == EOI:
            self.whole = bool(self._components) and self._seen == set(self._components)
        if marker == 0xDD:
            return len(payload) == 2
        return marker not in OTHER_FRAMES and marker not in STANDALONE and marker != 0xDC

    def _quantisation(self, payload: bytes) -> bool:
        at = 0
        while at < len(payload):
            precision, slot = payload[at] >> 4, payload[at] & 15
            at += 1 + 64 * (precision + 1)
            if precision > 1 or slot > 3:
                return False
            self._quantisers.add(slot)
        return at == len(payload)

    def _entropy(self, payload: bytes) -> bool:
        at = 0
        if len(payload) > MOST_HUFFMAN:
            return False
        while at + 17 <= len(payload):
            counts = payload[at + 1 : at + 17]
            # A code of each length must still be free, or the tree overflows.
            space = sum(map(mul, counts, _ROOM))
            symbols = payload[at + 17 : at + 17 + sum(counts)]
            if payload[at] not in HUFFMAN_SLOTS or space > 0xFFFF or len(symbols) > 256:
                return False
            if payload[at] < 4 and max(symbols, default=0) > 15:
                return False
            self._huffman.add(payload[at])
            at += 17 + sum(counts)
        return at == len(payload)

    def _frame(self, marker: int, payload: bytes) -> bool:
        count = payload[5] if len(payload) > 5 else 0
        if self._components or len(payload) != 6 + 3 * count:
            return False
        self._progressive = marker == 0xC2
        blocks = 0
        for at in range(6, len(payload), 3):
            name, sampling, table = payload[at : at + 3]
            across, down = sampling >> 4, sampling & 15
            if across not in {1, 2} or down not in {1, 2}:
                return False
            blocks += across * down
            self._components[name] = table
        # A decoder's unit of work holds ten blocks at most.
        return blocks <= 10 and len(self._components) == count

    def _scan(self, payload: bytes) -> bool:
        count = payload[0] if payload else 0
        if not 1 <= count <= 4 or len(payload) != 4 + 2 * count:
            return False
        names, tables = payload[1:-3:2], payload[2:-3:2]
        self._seen.update(names)
        for name in names:
            if self._components.get(name) not in self._quantisers:
                return False
        return self._codable(tables, *payload[-3:])

    def _codable(self, tables: bytes, first: int, last: int, bits: int) -> bool:
        """Whether the scan's Huffman tables are there, and its spectral range is allowed."""
        direct = {slots >> 4 for slots in tables} <= self._huffman
        alternating = {0x10 | slots & 15 for slots in tables} <= self._huffman
        if not self._progressive:
            return direct and alternating
        before, after = bits >> 4, bits & 15
        if after > 13 or before not in {0, after + 1}:
            return False
        if first == 0:
            # A refining scan of the first coefficients is raw bits: it needs no table.
            return last == 0 and (before > 0 or direct)
        return len(tables) == 1 and first <= last < 64 and alternating
