"""Pictures made in memory: drawn ones, real ones, and files made to do harm."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pillow_heif
from PIL import Image, ImageDraw, ImageFont

DATA = Path(__file__).parents[1] / "data"
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 170, 40), (30, 50, 220), (230, 220, 40)


def sample(name: str) -> bytes:
    """A real file of tests/data."""
    return (DATA / name).read_bytes()


@cache
def photo(width: int = 600, height: int = 400) -> Image.Image:
    """A photograph at any size; drawn once, so not to be changed."""
    with Image.open(DATA / "coffee.png") as picture:
        return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def corners(width: int = 320, height: int = 200) -> Image.Image:
    """Red, green, blue, yellow quarters in reading order: shows every turn and flip."""
    picture = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=BLUE)
    draw.rectangle((width // 2, height // 2, width, height), fill=YELLOW)
    return picture


@cache
def page(width: int = 1240, height: int = 1754, size: int = 22) -> Image.Image:
    """A page of text, letters ``size`` pixels high; drawn once, so not to be changed."""
    picture = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for y in range(size, height - size, int(size * 1.6)):
        draw.text((size, y), "Sphinx of black quartz, judge my vow 0123456789 " * 9, "black", font)
    return picture


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file of this Pillow format; HEIC is called ``HEIF`` there."""
    buffer = BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(picture).save(buffer, quality=90)
    else:
        picture.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """`corners`, stored so that this EXIF orientation makes it upright again."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = corners() if undo is None else corners().transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "TIFF":
        return encoded(stored, kind, tiffinfo={0x0112: orientation})
    return encoded(stored, kind, exif=exif)


def with_gps() -> bytes:
    """A JPEG that fits, with EXIF that tells where it was taken, XMP and a comment."""
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010F] = "SECRET-CAMERA"
    return encoded(
        photo(),
        "JPEG",
        quality=90,
        exif=exif,
        xmp=b"<x:xmpmeta>SECRET</x:xmpmeta>",
        comment="SECRET",
    )


def chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, width: int = 8, height: int = 8, rows: bytes | None = None) -> bytes:
    """A grey PNG by hand, with ``chunks`` between its header and its rows."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = zlib.compress(rows if rows is not None else bytes((width + 1) * height))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", head, *chunks, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    )


def gif(frames: int = 1, blocks: bytes = b"\x02\x4c\x01") -> bytes:
    """A one-pixel GIF with this many frames, each of these data blocks."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02" + blocks + b"\0"
    return head + frame * frames + b";"


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP container around ``chunks``."""
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def animated_webp(frames: int) -> bytes:
    """The frame of an extended WebP, with empty frames."""
    size = struct.pack("<I", 0)[:3]
    return riff((b"VP8X", b"\x02\0\0\0" + size + size), *[(b"ANMF", bytes(16))] * frames)


def tiff_in_circles() -> bytes:
    """A TIFF whose first page names itself as the next one."""
    entries = [(256, 4, 1, 8), (257, 4, 1, 8)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 8)


def tiff_of_pages(count: int) -> bytes:
    """A TIFF of this many empty pages."""
    page = struct.pack("<HHHIIHHII", 2, 256, 4, 1, 8, 257, 4, 1, 8)
    size = len(page) + 4
    pages = [page + struct.pack("<I", 8 + size * n) for n in range(1, count)]
    return b"II*\0" + struct.pack("<I", 8) + b"".join([*pages, page + bytes(4)])


def tiff_of_overlapping_pages() -> bytes:
    """A TIFF of 900 pages of 65,535 entries each, all in the same bytes."""
    size = 65_535 * 12 + 2
    places = [64 + 12 * n for n in range(900)]
    data = bytearray(places[-1] + size + 4)
    data[:8] = b"II*\0" + struct.pack("<I", places[0])
    for place, following in zip(places, [*places[1:], 0], strict=True):
        data[place : place + 2] = b"\xff\xff"
        data[place + size : place + size + 4] = struct.pack("<I", following)
    return bytes(data)


def tiff_of(bits: int, kind: int = 1, samples: int = 1, *, photometric: int = 1) -> bytes:
    """A TIFF of 8 x 8 pixels, all black, with samples like these (TIFF's numbers)."""
    pixels = bytes(8 * 8 * samples * bits // 8)
    # Of three samples each list is too long for its entry and stands before the pixels.
    lists = struct.pack("<3H", bits, bits, bits) + struct.pack("<3H", kind, kind, kind)
    far = samples > 1
    entries = [
        (256, 3, 1, 8),
        (257, 3, 1, 8),
        (258, 3, samples, 8 if far else bits),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8 + len(lists)),
        (277, 3, 1, samples),
        (278, 3, 1, 8),
        (279, 4, 1, len(pixels)),
        (339, 3, samples, 14 if far else kind),
    ]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
    first = struct.pack("<I", 8 + len(lists) + len(pixels))
    return b"II*\0" + first + lists + pixels + table + bytes(4)


def jpeg_of(precision: int = 8, width: int = 8, height: int = 8, marker: int = 0xC0) -> bytes:
    """The beginning of a JPEG with this frame header."""
    frame = struct.pack(">BHHB", precision, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8\xff" + bytes([marker]) + struct.pack(">H", len(frame) + 2) + frame


def bmp_of(width: int, height: int) -> bytes:
    """The header of a BMP of this size, without its rows."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def heic_of(width: int, height: int) -> bytes:
    """A real HEIC whose picture claims this size."""
    data = encoded(corners(64, 64), "HEIF")
    return data.replace(struct.pack(">II", 64, 64), struct.pack(">II", width, height))


def heic_of_tiles(width: int, height: int) -> bytes:
    """A phone's HEIC of many tiles, which claim this size each; the whole claims its true one."""
    tile = struct.pack(">4sIII", b"ispe", 0, 512, 512)
    return sample("arrow.heic").replace(tile, struct.pack(">4sIII", b"ispe", 0, width, height))


def gnawed(data: bytes) -> bytes:
    """The first half of a file."""
    return data[: len(data) // 2]


class Hostile(NamedTuple):
    """A file that must be refused, and with which code."""

    name: str
    make: Callable[[], bytes]
    code: str


HOSTILE: tuple[Hostile, ...] = (
    Hostile("empty", lambda: b"", "not_an_image"),
    Hostile("prose", lambda: b"Dear Sir or Madam, " * 9, "not_an_image"),
    Hostile("zeros", lambda: bytes(4096), "not_an_image"),
    Hostile("svg", lambda: b'<?xml version="1.0"?>\n<svg width="9"/>', "unsupported_image_type"),
    Hostile("svg_bare", lambda: b"\xef\xbb\xbf <svg xmlns='x'/>", "unsupported_image_type"),
    Hostile("html", lambda: b"<!DOCTYPE html><p>404</p>", "unsupported_image_type"),
    Hostile("pdf", lambda: sample("four-pages.pdf"), "unsupported_image_type"),
    Hostile("zip", lambda: b"PK\x03\x04" + bytes(40), "unsupported_image_type"),
    Hostile("gzip", lambda: b"\x1f\x8b\x08" + bytes(40), "unsupported_image_type"),
    Hostile("mp4", lambda: b"\0\0\0\x18ftypisom\0\0\2\0isommp42", "unsupported_image_type"),
    Hostile("webm", lambda: b"\x1aE\xdf\xa3" + bytes(40), "unsupported_image_type"),
    Hostile("jpeg_xl", lambda: b"\xff\x0a" + bytes(40), "unsupported_image_type"),
    Hostile("canon_raw", lambda: b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "unsupported_image_type"),
    Hostile("jpeg_12_bit", lambda: jpeg_of(12), "unsupported_image_type"),
    Hostile("jpeg_soi_only", lambda: b"\xff\xd8\xff", "image_damaged"),
    Hostile("jpeg_no_rows", lambda: jpeg_of(height=0), "image_damaged"),
    Hostile("jpeg_half", lambda: gnawed(encoded(photo(), "JPEG")), "image_damaged"),
    Hostile("jpeg_huge", lambda: jpeg_of(width=65_000, height=65_000), "image_too_many_pixels"),
    Hostile("png_header_only", lambda: png()[:20], "image_damaged"),
    Hostile("png_half", lambda: gnawed(encoded(photo())), "image_damaged"),
    Hostile("png_no_columns", lambda: png(width=0), "image_damaged"),
    Hostile(
        "png_huge", lambda: png(width=60_000, height=60_000, rows=b""), "image_too_many_pixels"
    ),
    Hostile("png_long", lambda: png(width=40_000, height=1, rows=b""), "image_too_many_pixels"),
    Hostile("png_chunks", lambda: png(*[chunk(b"tIME", b"")] * 20_001), "image_decompression_bomb"),
    Hostile("png_icc", lambda: png(icc_bomb()), "image_decompression_bomb"),
    Hostile("png_exif", lambda: png(chunk(b"eXIf", bytes(5 << 20))), "image_decompression_bomb"),
    Hostile("png_rows_missing", lambda: png(rows=b""), "image_damaged"),
    Hostile("gif_frames", lambda: gif(5_000), "image_decompression_bomb"),
    Hostile("gif_blocks", lambda: gif(1, b"\1\0" * 300_000), "image_decompression_bomb"),
    Hostile("webp_frames", lambda: animated_webp(1_001), "image_decompression_bomb"),
    Hostile("webp_half", lambda: gnawed(encoded(photo(), "WEBP")), "image_damaged"),
    Hostile("webp_empty", lambda: riff(), "image_damaged"),
    Hostile("tiff_circle", tiff_in_circles, "image_damaged"),
    Hostile("tiff_pages", lambda: tiff_of_pages(1_001), "image_decompression_bomb"),
    Hostile("tiff_overlaps", tiff_of_overlapping_pages, "image_damaged"),
    Hostile("tiff_half", lambda: gnawed(encoded(photo(), "TIFF")), "image_damaged"),
    Hostile("tiff_12_bit", lambda: tiff_of(12), "unsupported_image_type"),
    Hostile(
        "tiff_32_bit", lambda: encoded(Image.new("I", (8, 8)), "TIFF"), "unsupported_image_type"
    ),
    Hostile(
        "tiff_float", lambda: encoded(Image.new("F", (8, 8)), "TIFF"), "unsupported_image_type"
    ),
    Hostile("tiff_float_rgb", lambda: tiff_of(32, 3, 3, photometric=2), "unsupported_image_type"),
    Hostile("tiff_signed", lambda: tiff_of(16, 2), "unsupported_image_type"),
    Hostile(
        "tiff_lab", lambda: encoded(Image.new("LAB", (8, 8)), "TIFF"), "unsupported_image_type"
    ),
    Hostile("bmp_huge", lambda: bmp_of(30_000, -30_000), "image_too_many_pixels"),
    Hostile("bmp_no_rows", lambda: bmp_of(100, 100), "image_damaged"),
    Hostile("heic_huge", lambda: heic_of(50_000, 50_000), "image_too_many_pixels"),
    Hostile("heic_tiles", lambda: heic_of_tiles(50_000, 50_000), "image_too_many_pixels"),
    Hostile("heic_half", lambda: gnawed(sample("arrow.heic")), "image_damaged"),
    Hostile("avif_half", lambda: gnawed(encoded(photo(), "AVIF")), "image_damaged"),
    Hostile("hair", lambda: encoded(Image.new("L", (1, 5_000))), "extreme_aspect_ratio"),
    Hostile("too_large", lambda: encoded(photo()) + bytes(20 << 20), "image_too_large"),
)


def icc_bomb() -> bytes:
    """A colour profile of 8 KB that unpacks to 8 MiB."""
    return chunk(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(8 << 20)))
