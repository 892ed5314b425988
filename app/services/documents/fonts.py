"""The fonts of this machine, for text in fonts that a PDF does not embed."""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from struct import unpack_from

DIRECTORIES = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
)
SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})
MOST_FILES = 4_000
"""Maximum font files that are considered, as designers' machines have thousands."""
_COLLECTION = b"ttcf"
_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "serif")
"""Words in a file name that make a font less suitable for plain text."""


@dataclass(frozen=True, eq=False)
class Font:
    """A font file; of a collection, its first face."""

    path: Path

    @cached_property
    def _ranges(self) -> tuple[list[int], list[int]]:
        """Return the first and the last code points of the font's runs, in order."""
        try:
            runs = sorted(_covered(read(self.path)))
        except (OSError, struct.error, LookupError, ValueError):
            runs = []
        return [first for first, _ in runs], [last for _, last in runs]

    def has(self, character: str) -> bool:
        """Return whether the font has a glyph for ``character``."""
        firsts, lasts = self._ranges
        at = bisect_right(firsts, ord(character)) - 1
        return at >= 0 and ord(character) <= lasts[at]


@lru_cache(maxsize=2)
def read(path: Path) -> bytes:
    """Return a font file's bytes, cached because PDFium requests a file several times in a row."""
    return path.read_bytes()


def offset(data: bytes) -> int:
    """Return the offset of a font file's first face."""
    return int(unpack_from(">I", data, 12)[0]) if data.startswith(_COLLECTION) else 0


@dataclass(frozen=True, slots=True)
class Fonts:
    """The fonts in some directories."""

    directories: Sequence[str] = DIRECTORIES
    _files: list[Font] = field(default_factory=list)

    def best(self, characters: frozenset[str]) -> Font | None:
        """Return the font with the most of ``characters``, or None if no font has any."""
        best, most = None, 0
        for font in self._all():
            count = sum(map(font.has, characters))
            if count > most:
                best, most = font, count
            if most == len(characters):
                break
        return best

    def _all(self) -> list[Font]:
        if not self._files:
            self._files.extend(sorted(islice(self._font_files(), MOST_FILES), key=_rank))
        return self._files

    def _font_files(self) -> Iterator[Font]:
        for directory in self.directories:
            for folder, _, names in os.walk(Path(directory).expanduser()):
                for name in names:
                    if Path(name).suffix.lower() in SUFFIXES:
                        yield Font(Path(folder, name))


def _rank(font: Font) -> tuple[int, str]:
    name = font.path.stem.lower()
    return sum(style in name for style in _STYLES), name


def _covered(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the runs of code points that have a glyph, from the font's cmap table.

    Source: OpenType 1.9, "cmap". Fonts for text use formats 4 and 12.
    """
    tables = _tables(data, offset(data))
    start = tables[b"cmap"]
    count = unpack_from(">H", data, start + 2)[0]
    places = [start + unpack_from(">HHI", data, start + 4 + 8 * n)[2] for n in range(count)]
    formats = {unpack_from(">H", data, place)[0]: place for place in places}
    if 12 in formats:
        yield from _segmented(data, formats[12])
    elif 4 in formats:
        yield from _mapped(data, formats[4])


def _tables(data: bytes, start: int) -> dict[bytes, int]:
    count = unpack_from(">H", data, start + 4)[0]
    entries = (unpack_from(">4sIII", data, start + 12 + 16 * n) for n in range(count))
    return {tag: place for tag, _, place, _ in entries}


def _segmented(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    for group in range(unpack_from(">I", data, at + 12)[0]):
        first, last, glyph = unpack_from(">III", data, at + 16 + 12 * group)
        yield (first if glyph else first + 1), last


def _mapped(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    double = unpack_from(">H", data, at + 6)[0]
    shape = f">{double // 2}H"
    lasts = unpack_from(shape, data, at + 14)
    firsts = unpack_from(shape, data, at + 16 + double)
    places = at + 16 + 3 * double
    offsets = unpack_from(shape, data, places)
    for n, (first, last, far) in enumerate(zip(firsts, lasts, offsets, strict=True)):
        if far == 0:
            yield first, last
            continue
        for code in range(first, last + 1):
            if unpack_from(">H", data, places + 2 * n + far + 2 * (code - first))[0]:
                yield code, code
