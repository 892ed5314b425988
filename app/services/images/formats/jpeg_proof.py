"""Proves that a JPEG's structure is complete without decoding it."""

import re
from collections.abc import Callable, Mapping
from math import sqrt
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from app.services.images.formats import padding
from app.services.images.formats.jpeg_tables import Huffman, huffman, quantisers

FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Start-of-frame markers of all decoders: baseline, extended and progressive."""
OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
"""Start-of-frame markers of lossless, hierarchical and arithmetic-coded JPEG and of JPEG-LS."""
TABLES = frozenset({0xC4, 0xDB, 0xDD})
"""Markers of Huffman tables, quantisation tables and the restart interval."""
DQT, DHT, DRI, DNL = 0xDB, 0xC4, 0xDD, 0xDC
SOS, EOI = 0xDA, 0xD9
SCAN = 0x100
"""Represents the entropy-coded data after an SOS; it is no byte and thus no marker."""
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a payload, other than EOI."""
MOST_RESTARTS = 20_000
"""Maximum restart markers that are counted; files with more are decoded."""
USUAL_BITS, USUAL_COLOUR_BITS = 4.4, 1.2
"""Bits that half a photograph takes per sample of brightness and of colour, times the square root
of the mean quantiser.

Measured on seven photographs at 256 to 1,100 pixels, qualities from 40 to 98 and all usual
subsamplings. No half exceeds this by more than a twentieth; whole photographs have 0.6 to 2.1 times
as much, or 3.3 times with sharpened grain. A file with less may still be complete, which a decoder
decides.
"""
NEEDED, LESS, LEAST = 1.5, 0.1, 1.0
"""Multiple of the usual bits that a file needs, its reduction per correct end bit, and its minimum.

The end of truncated data is correct by chance, half of the time in two bits but seldom in nine.
"""
GAP = re.compile(rb"\0{2048,}")
"""Matches a gap in a scan whose blocks are never zeros."""
GAP_STEP, GAP_SAMPLES = 2048, bytes(2)
"""The distance of the bytes that are looked at for a gap, and what they are within one."""
USUAL_END = 5
"""Number of end bits that count as correct if the last code is unknown."""


class Segment(NamedTuple):
    """One marker and its payload; ``start`` and ``end`` include the marker."""

    marker: int
    start: int
    end: int
    payload: bytes


class Component(NamedTuple):
    """One colour of the frame."""

    place: int
    """The component's position in the frame, from 0."""
    across: int
    """Horizontal sampling factor, the blocks side by side in an MCU."""
    down: int
    table: int


class Scan(NamedTuple):
    """The requirements on the data of the scan that comes next."""

    blocks: int
    units: int
    """Number of MCUs, which are counted between restarts."""
    least: int
    """Minimum bits of a block."""
    end: tuple[int, int] | None
    """The usual last code of its last block, with its length in bits; None if unknown."""
    never_zeros: bool = False
    """Whether no block of the scan consists of zeros, not even a flat one."""


class Proof:
    """Follows a file's segments to decide whether a strict decoder would open it.

    Damage inside a scan shows in the picture but does not stop a decoder, while a missing or
    malformed table does.
    """

    def __init__(self, data: bytes) -> None:
        """Start a proof of the file ``data``, whose segments are passed to `add` in order."""
        self._file = data
        self._quantisers: set[int] = set()
        self._coarseness = 0.0
        self._huffman: dict[int, Huffman] = {}
        self._components: dict[int, Component] = {}
        self._size = (0, 0)
        self._sampling = (1, 1)
        self._samples = 1.0
        """Samples per pixel."""
        self._progressive = False
        self._restart = 0
        self._scan: Scan | None = None
        self._planes: dict[int, bytearray] = {}
        """The lowest bit received of each coefficient, by component."""
        self._bytes = 0
        self._gaps = 0
        self._end_bits = USUAL_END
        """Number of correct bits at the end of the last scan."""
        self.whole = False
        """Whether the end was reached with all components drawn."""
        self.doubtful = False
        """Whether the data may not fill the frame, which only a decoder can tell."""

    @property
    def detail(self) -> float:
        """Return the share of coefficients that the picture has received, 0 to 1."""
        if not self._planes:
            return 1.0
        finished = sum(plane.count(0) for plane in self._planes.values())
        return finished / (64 * len(self._components))

    @property
    def written(self) -> float:
        """Return the share of the scans' bytes that are not gaps, 0 to 1."""
        return 1 - self._gaps / self._bytes if self._gaps else 1.0

    def add(self, segment: Segment) -> bool:
        """Check the next segment; return False if it is malformed or refers to missing tables."""
        marker, payload = segment.marker, segment.payload
        if marker == SCAN:
            return self._drawn(segment)
        if segment.end - segment.start != len(payload) + (2 if marker == EOI else 4):
            return False
        step = self._STEPS.get(marker)
        if step is not None:
            return step(self, payload)
        if marker in FRAMES:
            return self._frame(marker, payload)
        return marker not in OTHER_FRAMES and marker not in STANDALONE and marker != DNL

    def _end(self, _: bytes) -> bool:
        drawn = self._planes
        self.whole = bool(self._components) and drawn.keys() == self._components.keys()
        if self._progressive and any(any(plane) for plane in drawn.values()):
            self.doubtful = True
        width, height = self._size
        usual = USUAL_BITS + USUAL_COLOUR_BITS * (self._samples - 1)
        needed = usual * max(LEAST, NEEDED - LESS * self._end_bits)
        if 8 * self._bytes * sqrt(max(self._coarseness, 1)) < needed * width * height:
            self.doubtful = True
        return True

    def _interval(self, payload: bytes) -> bool:
        if len(payload) != 2:
            return False
        self._restart = payload[0] << 8 | payload[1]
        return True

    def _quantisation(self, payload: bytes) -> bool:
        tables = quantisers(payload)
        if tables is None:
            return False
        self._quantisers |= tables.slots
        self._coarseness = self._coarseness or tables.mean
        return True

    def _entropy(self, payload: bytes) -> bool:
        tables = huffman(payload)
        if tables is None:
            return False
        self._huffman.update(tables)
        return True

    def _frame(self, marker: int, payload: bytes) -> bool:
        count = payload[5] if len(payload) > 5 else 0
        if self._components or len(payload) != 6 + 3 * count or not 1 <= count <= 4:
            return False
        self._progressive = marker == 0xC2
        self._size = (payload[3] << 8 | payload[4], payload[1] << 8 | payload[2])
        blocks, widest, tallest = 0, 1, 1
        for at in range(6, len(payload), 3):
            name, sampling, table = payload[at : at + 3]
            across, down = sampling >> 4, sampling & 15
            if across not in {1, 2} or down not in {1, 2}:
                return False
            blocks += across * down
            widest, tallest = max(widest, across), max(tallest, down)
            self._components[name] = Component((at - 6) // 3, across, down, table)
        self._sampling = (widest, tallest)
        self._samples = blocks / (widest * tallest)
        # An MCU has at most ten blocks.
        return blocks <= 10 and len(self._components) == count

    def _header(self, payload: bytes) -> bool:
        count = payload[0] if payload else 0
        if not 1 <= count <= 4 or len(payload) != 4 + 2 * count:
            return False
        names, tables = payload[1:-3:2], payload[2:-3:2]
        place = -1
        for name in names:
            component = self._components.get(name)
            # Components appear once, in the frame's order.
            if component is None or component.place <= place:
                return False
            if component.table not in self._quantisers:
                return False
            place = component.place
        if not self._codable(names, tables, *payload[-3:]):
            return False
        self._scan = self._expected(names, tables, payload[-3])
        return True

    def _codable(self, names: bytes, tables: bytes, first: int, last: int, bits: int) -> bool:
        """Return whether the scan's Huffman tables are defined and the scan is allowed now."""
        direct = alternating = True
        for slots in tables:
            direct = direct and slots >> 4 in self._huffman
            alternating = alternating and 0x10 | slots & 15 in self._huffman
        if not self._progressive:
            if not (direct and alternating) or (first, last, bits) != (0, 63, 0):
                return False
            for name in names:
                if name in self._planes:
                    return False  # already drawn
                self._planes[name] = _FINISHED
            return True
        before, after = bits >> 4, bits & 15
        if after > 13 or before not in {0, after + 1}:
            return False
        if first == 0:
            # A refining scan of the first coefficients has raw bits and needs no table.
            allowed = last == 0 and (before > 0 or direct)
        else:
            allowed = len(tables) == 1 and first <= last < 64 and alternating
        return allowed and all(self._refines(name, first, last, before, after) for name in names)

    def _refines(self, name: int, first: int, last: int, before: int, after: int) -> bool:
        """Record a progressive scan; return False if it does not continue the earlier scans."""
        plane = self._planes.get(name)
        if plane is None:
            if first:
                return False  # the first coefficient has to come first
            plane = self._planes[name] = bytearray(_UNTOUCHED)
        count = last + 1 - first
        if plane[first : last + 1] != bytes((before or _NOTHING,)) * count:
            return False
        plane[first : last + 1] = bytes((after,)) * count
        return True

    def _expected(self, names: bytes, tables: bytes, first: int) -> Scan:
        if first and not self._restart:
            return _FINE  # a single code may end thousands of blocks
        width, height = self._size
        if len(names) == len(self._components) and not (self._progressive or self._restart):
            # Only the blocks of brightness are counted, as a minimum.
            return Scan(
                width * height // 64,
                0,
                2,
                self._huffman[0x10 | tables[-1] & 15].end,
                self._never_zeros(tables),
            )
        widest, tallest = self._sampling
        parts = [self._components[name] for name in names]
        if len(parts) == 1:
            # A single component is drawn by blocks, without the padding of the last MCU.
            part = parts[0]
            across = -(-width * part.across // (8 * widest))
            units = blocks = across * -(-height * part.down // (8 * tallest))
        else:
            units = -(-width // (8 * widest)) * -(-height // (8 * tallest))
            blocks = units * sum([part.across * part.down for part in parts])
        if self._progressive:
            return Scan(blocks, units, 0 if first else 1, None)
        table = self._huffman[0x10 | tables[-1] & 15]
        # One bit for the first coefficient and one for the end are the minimum.
        return Scan(blocks, units, 2, table.end, self._never_zeros(tables))

    def _never_zeros(self, tables: bytes) -> bool:
        # Zeros end a flat block only if the table says so.
        end = self._huffman[0x10 | tables[0] & 15].end
        return end is not None and end[0] > 0

    def _drawn(self, segment: Segment) -> bool:
        scan, self._scan = self._scan, None
        if self._file.endswith(b"\xff", segment.start, segment.end):
            # Fill bytes before the next marker are not data.
            body = self._file[segment.start : segment.end].rstrip(b"\xff")
            segment = segment._replace(end=segment.start + len(body))
        size = segment.end - segment.start
        if scan is None or not size or 8 * size < scan.blocks * scan.least:
            return False
        self._bytes += size
        data, start, end = self._file, segment.start, segment.end
        self.doubtful = self.doubtful or padding.start(data, start, end) < end
        if scan.never_zeros and GAP_SAMPLES in data[start:end:GAP_STEP]:
            self._gaps += sum(len(gap) for gap in GAP.findall(data[start:end]))
            self.doubtful = self.doubtful or self._gaps > 0
        if scan.end is not None:
            self._end_bits = _bits_right(data, segment, scan.end)
            self.doubtful = self.doubtful or not self._end_bits
        return not self._restart or self._restarts(segment, -(-scan.units // self._restart) - 1)

    def _restarts(self, segment: Segment, expected: int) -> bool:
        """Return whether the scan has exactly the expected restart markers, in order."""
        if expected > MOST_RESTARTS:
            return False
        data, at = self._file, segment.start
        for number in range(expected):
            at = data.find(_RESTARTS[number & 7], at, segment.end)
            if at < 0:
                return False
            at += 2
        return sum([data.count(mark, segment.start, segment.end) for mark in _RESTARTS]) == expected

    _STEPS: ClassVar[Mapping[int, Callable[[Any, bytes], bool]]] = MappingProxyType(
        {
            DQT: _quantisation,
            DHT: _entropy,
            DRI: _interval,
            SOS: _header,
            EOI: _end,
        }
    )


_NOTHING = 99
"""Marks a coefficient that no scan has drawn yet."""
_FINE = Scan(0, 0, 0, None)
_UNTOUCHED = bytes((_NOTHING,)) * 64
_FINISHED = bytearray(64)
_RESTARTS = tuple(bytes([0xFF, 0xD0 + number]) for number in range(8))


def _bits_right(data: bytes, segment: Segment, end: tuple[int, int]) -> int:
    """Return how many bits at a scan's end match the code ``end``, padded with ones; 0 for none."""
    tail = data[max(segment.start, segment.end - 6) : segment.end].replace(b"\xff\0", b"\xff")
    bits = int.from_bytes(tail, "big")
    for fill in range(8):
        if bits & (1 << end[1]) - 1 == end[0]:
            return end[1] + fill
        if not bits & 1:
            return 0
        bits >>= 1
    return 0
