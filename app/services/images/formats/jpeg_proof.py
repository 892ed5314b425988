"""Prove that a JPEG's structure is whole without decoding it."""

from collections.abc import Callable, Mapping
from math import sqrt
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from app.services.images.formats.jpeg_tables import Huffman, huffman, quantisers

FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Start-of-frame markers that every decoder reads: baseline, extended, progressive."""
OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
"""Lossless, hierarchical, arithmetic-coded, and JPEG-LS."""
TABLES = frozenset({0xC4, 0xDB, 0xDD})
"""Huffman tables, quantisation tables, restart interval."""
DQT, DHT, DRI, DNL = 0xDB, 0xC4, 0xDD, 0xDC
SOS, EOI = 0xDA, 0xD9
SCAN = 0x100
"""Stands for the entropy-coded data after an SOS; no byte, so no marker."""
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a payload, beside EOI."""
MOST_RESTARTS = 20_000
"""Restart marks that are counted; files with more are decoded."""
USUAL_BITS, USUAL_COLOUR_BITS = 4.4, 1.2
"""Bits that half a photograph takes for each sample of brightness and of colour, times the root of
the mean quantiser.

Measured on seven photographs at 256 to 1,100 pixels, qualities from 40 to 98 and every usual
sampling: no half has more by a twentieth, a whole one 0.6 to 2.1 times as much, and 3.3 times with
grain that was sharpened. With less it may be whole all the same; a decoder tells.
"""
NEEDED, LESS, LEAST = 1.5, 0.1, 1.0
"""Times the usual bits that a file needs, less for each bit that its end has right, at least.

Where data is cut, the end is right by chance: half of the time in two bits, seldom in nine.
"""
ZEROS = bytes(64)
"""More of them at a scan's end than a photograph has: data may be missing in their place."""
USUAL_END = 5
"""Bits that count as right where no code is known to stand at the end."""


class Segment(NamedTuple):
    """One marker with its payload; ``start`` and ``end`` span the marker too."""

    marker: int
    start: int
    end: int
    payload: bytes


class Component(NamedTuple):
    """One colour of the frame."""

    place: int
    """The component's position in the frame, from 0."""
    across: int
    """Sampling: blocks in a unit of work, next to each other."""
    down: int
    table: int


class Scan(NamedTuple):
    """The header of the scan whose data comes next."""

    blocks: int
    units: int
    """Units of work (MCUs), as they are counted between restarts."""
    least: int
    """Bits that a block takes at least."""
    end: tuple[int, int] | None
    """The code that its last block usually ends with."""


class Proof:
    """Follows a file's segments and tells whether a strict decoder opens it.

    Damage inside a scan shows in the picture but stops no decoder; a missing or malformed
    table does.
    """

    def __init__(self, data: bytes) -> None:
        """``data`` is the whole file, whose segments `add` is given one after the other."""
        self._file = data
        self._quantisers: set[int] = set()
        self._coarseness = 0.0
        self._huffman: dict[int, Huffman] = {}
        self._components: dict[int, Component] = {}
        self._size = (0, 0)
        self._sampling = (1, 1)
        self._samples = 1.0
        """Samples a pixel."""
        self._progressive = False
        self._restart = 0
        self._scan: Scan | None = None
        self._planes: dict[int, bytearray] = {}
        """The lowest bit that each coefficient has so far, for each component drawn."""
        self._bytes = 0
        self._end_bits = USUAL_END
        """Bits that the last scan has right at its end."""
        self.whole = False
        """The end was reached with every component drawn."""
        self.doubtful = False
        """The data may be short of the frame: only a decoder can tell."""

    @property
    def detail(self) -> float:
        """The share of its coefficients that the picture was given."""
        if not self._planes:
            return 1.0
        finished = sum(plane.count(0) for plane in self._planes.values())
        return finished / (64 * len(self._components))

    def add(self, segment: Segment) -> bool:
        """Take the next segment; False where it is malformed or lacks what it refers to."""
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
        # A decoder's unit of work holds ten blocks at most.
        return blocks <= 10 and len(self._components) == count

    def _header(self, payload: bytes) -> bool:
        count = payload[0] if payload else 0
        if not 1 <= count <= 4 or len(payload) != 4 + 2 * count:
            return False
        names, tables = payload[1:-3:2], payload[2:-3:2]
        place = -1
        for name in names:
            component = self._components.get(name)
            # In the frame's order, each once.
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
        """Whether the scan's Huffman tables are there, and it may come now."""
        direct = alternating = True
        for slots in tables:
            direct = direct and slots >> 4 in self._huffman
            alternating = alternating and 0x10 | slots & 15 in self._huffman
        if not self._progressive:
            if not (direct and alternating) or (first, last, bits) != (0, 63, 0):
                return False
            for name in names:
                if name in self._planes:
                    return False  # drawn before
                self._planes[name] = _FINISHED
            return True
        before, after = bits >> 4, bits & 15
        if after > 13 or before not in {0, after + 1}:
            return False
        if first == 0:
            # A refining scan of the first coefficients is raw bits: it needs no table.
            allowed = last == 0 and (before > 0 or direct)
        else:
            allowed = len(tables) == 1 and first <= last < 64 and alternating
        return allowed and all(self._refines(name, first, last, before, after) for name in names)

    def _refines(self, name: int, first: int, last: int, before: int, after: int) -> bool:
        """Note what a progressive scan adds; False where it does not follow on from the others."""
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
            return _FINE  # one code can say that thousands of blocks hold nothing more
        width, height = self._size
        if len(names) == len(self._components) and not (self._progressive or self._restart):
            # At least the blocks of brightness; the others are not worth counting.
            return Scan(width * height // 64, 0, 2, self._huffman[0x10 | tables[-1] & 15].end)
        widest, tallest = self._sampling
        parts = [self._components[name] for name in names]
        if len(parts) == 1:
            # Alone it is drawn block by block, without what only fills the last unit.
            part = parts[0]
            across = -(-width * part.across // (8 * widest))
            units = blocks = across * -(-height * part.down // (8 * tallest))
        else:
            units = -(-width // (8 * widest)) * -(-height // (8 * tallest))
            blocks = units * sum([part.across * part.down for part in parts])
        if self._progressive:
            return Scan(blocks, units, 0 if first else 1, None)
        table = self._huffman[0x10 | tables[-1] & 15]
        # One bit for the first coefficient and one for the end: no code is shorter.
        return Scan(blocks, units, 2, table.end)

    def _drawn(self, segment: Segment) -> bool:
        scan, self._scan = self._scan, None
        if self._file.endswith(b"\xff", segment.start, segment.end):
            # Fill bytes before the next marker are no data.
            body = self._file[segment.start : segment.end].rstrip(b"\xff")
            segment = segment._replace(end=segment.start + len(body))
        size = segment.end - segment.start
        if scan is None or not size or 8 * size < scan.blocks * scan.least:
            return False
        self._bytes += size
        self.doubtful = self.doubtful or self._file.endswith(ZEROS, segment.start, segment.end)
        if scan.end is not None:
            self._end_bits = _bits_right(self._file, segment, scan.end)
            self.doubtful = self.doubtful or not self._end_bits
        return not self._restart or self._restarts(segment, -(-scan.units // self._restart) - 1)

    def _restarts(self, segment: Segment, expected: int) -> bool:
        """Whether the scan has the restart marks that it must have, in their order."""
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
"""No scan drew this coefficient yet."""
_FINE = Scan(0, 0, 0, None)
_UNTOUCHED = bytes((_NOTHING,)) * 64
_FINISHED = bytearray(64)
_RESTARTS = tuple(bytes([0xFF, 0xD0 + number]) for number in range(8))


def _bits_right(data: bytes, segment: Segment, end: tuple[int, int]) -> int:
    """Return how many bits a scan's data ends with as its last block should; 0 where it does not.

    They are this code, filled up with ones.
    """
    tail = data[max(segment.start, segment.end - 6) : segment.end].replace(b"\xff\0", b"\xff")
    bits = int.from_bytes(tail, "big")
    for fill in range(8):
        if bits & (1 << end[1]) - 1 == end[0]:
            return end[1] + fill
        if not bits & 1:
            return 0
        bits >>= 1
    return 0
