"""Names of TIFF directory tags and of their values."""

from collections.abc import Mapping
from types import MappingProxyType

SUBFILE, OLD_SUBFILE = 254, 255
WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, MAKE = 256, 257, 258, 259, 262, 271
OFFSETS, ORIENTATION, SAMPLES, PLANES, TILE_WIDTH, TILE_OFFSETS = 273, 274, 277, 284, 322, 324
SUB_DIRECTORIES, INKS, EXTRAS, FORMAT, SUBSAMPLING, PROFILE = 330, 332, 338, 339, 530, 34675
STRIP_BYTES, TILE_BYTES, COLOUR_MAP = 279, 325, 320
DNG_VERSION, LEAF_DATA, KODAK_DATA = 50706, 34310, 65024

DRAWN = frozenset(
    {
        *(WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, 266, OFFSETS, SAMPLES, 278, 279, PLANES),
        *(292, 293, 317, COLOUR_MAP, TILE_WIDTH, 323, TILE_OFFSETS, 325, INKS, EXTRAS, FORMAT, 347),
        *(512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, PROFILE),
    }
)
"""Tags that are needed to draw a page: its layout, tables, colours and profile."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, INDEXED, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
CHANNELS: Mapping[int, int] = MappingProxyType(
    {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, INDEXED: 1, SEPARATED: 4, YCBCR: 3}
)
"""Samples per pixel by the supported kinds of colour."""
COLOUR_NAMES: Mapping[int, str] = MappingProxyType(
    {
        4: "a transparency mask",
        8: "CIELAB",
        9: "CIELAB as ICC writes it",
        10: "CIELAB as ITU writes it",
        32844: "LogL brightness",
        32845: "LogLuv colours",
    }
)
ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of extra samples for transparency; the first means premultiplied colours."""

UNPACKED, OLD_JPEG, JPEG, WEBP = 1, 6, 7, 50001
BY_LIBVIPS = frozenset({1, 2, 3, 4, 5, JPEG, 8, 32771, 32773, 32946, WEBP})
BY_PILLOW = frozenset({OLD_JPEG, 34925, 50000})
"""Further compressions, which only Pillow's wheel can decode."""
COMPRESSION_NAMES: Mapping[int, str] = MappingProxyType(
    {
        32766: "NeXT",
        32809: "ThunderScan",
        32908: "PixarFilm",
        32909: "PixarLog",
        34661: "JBIG",
        34676: "SGI log",
        34677: "SGI log",
        34712: "JPEG 2000",
        33003: "JPEG 2000",
        33005: "JPEG 2000",
        34715: "JBIG 2",
        34887: "LERC",
        34926: "an experimental Zstandard",
        34927: "an experimental WebP",
        50002: "JPEG XL",
        52546: "JPEG XL",
    }
)

RAW_COLOURS = frozenset({32803, 34892})
"""Photometric values of a camera sensor's colour filter array and of its linear data."""
RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 32867, 34713, 34892, 65000, 65535})
"""Compressions of Sony, Epson, Samsung, Kodak, Nikon, lossy DNG, Kodak and Pentax."""
RAW_NAMES: tuple[tuple[str, str], ...] = (
    ("nikon", "NEF"),
    ("canon", "CR2"),
    ("sony", "ARW"),
    ("eastman kodak", "KDC or DCR"),
    ("kodak", "KDC or DCR"),
    ("pentax", "PEF"),
    ("ricoh", "PEF"),
    ("samsung", "SRW"),
    ("hasselblad", "3FR"),
    ("imacon", "FFF"),
    ("seiko epson", "ERF"),
    ("leaf", "MOS"),
    ("phase one", "IIQ"),
    ("mamiya", "MEF"),
    ("panasonic", "RW2"),
    ("leica", "RWL"),
    ("olympus", "ORF"),
    ("om digital", "ORF"),
    ("fujifilm", "RAF"),
)
"""Beginnings of camera makes in lower case, with the suffix of their raw files."""
