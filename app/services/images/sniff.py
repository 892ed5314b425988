"""Tell a picture's type by its bytes, whatever it was declared to be."""

from app.domain.errors import NotAnImageError, UnsupportedImageTypeError
from app.domain.image import ImageType

ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF"

SIGNATURES: tuple[tuple[int, bytes, ImageType], ...] = (
    (0, b"\xff\xd8\xff", ImageType.JPEG),
    (0, b"\x89PNG\r\n\x1a\n", ImageType.PNG),
    (8, b"WEBP", ImageType.WEBP),
    (0, b"GIF87a", ImageType.GIF),
    (0, b"GIF89a", ImageType.GIF),
    (0, b"II*\0", ImageType.TIFF),
    (0, b"MM\0*", ImageType.TIFF),
    (0, b"II+\0", ImageType.TIFF),
    (0, b"MM\0+", ImageType.TIFF),
    (0, b"BM", ImageType.BMP),
)
"""Offset, bytes, type."""

FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a ZIP archive or Office document"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (4, b"moov", "a QuickTime video"),
    (4, b"mdat", "a QuickTime video"),
    (8, b"AVI ", "an AVI video"),
    (8, b"WAVE", "a WAV sound"),
    (0, b"OggS", "an Ogg sound or video"),
    (0, b"ID3", "an MP3 sound"),
    (0, b"\0\0\1\xba", "an MPEG video"),
    (0, b"\0\0\1\xb3", "an MPEG video"),
    (0, b"FLV\1", "a Flash video"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\0\0\1\0", "a Windows icon"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (0, b"%!PS", "a PostScript drawing"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"v/1\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (128, b"DICM", "a DICOM picture"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw picture"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)
"""Offset, bytes, what to call it in the refusal."""

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
)


def sniff(data: bytes) -> ImageType:
    """The type that ``data`` starts like. No decoder is called.

    Raises `UnsupportedImageTypeError` naming a recognised type that is not accepted, and
    `NotAnImageError` for everything else.
    """
    if not data:
        raise NotAnImageError("The picture is empty: it has no bytes.")
    # TIFF's signature is shared by Canon's raw files, which carry their own mark behind it.
    if data[8:10] == b"CR" and data[:2] in {b"II", b"MM"}:
        raise _unsupported("a camera's raw picture")
    for offset, magic, media_type in SIGNATURES:
        if data.startswith(magic, offset):
            return media_type
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    raise _refusal(data)


def _by_brand(data: bytes) -> ImageType:
    size = int.from_bytes(data[:4], "big")
    brands = {data[at : at + 4] for at in range(8, min(size, 256), 4) if at != 12}
    # A file may claim both (`mif1` with either codec); the codec's own brand decides.
    if data[8:12] in AVIF_BRANDS or (brands & AVIF_BRANDS and not brands & HEIC_BRANDS):
        return ImageType.AVIF
    if brands & HEIC_BRANDS:
        return ImageType.HEIC
    raise _unsupported("an MP4 or QuickTime video")


def _refusal(data: bytes) -> NotAnImageError | UnsupportedImageTypeError:
    # Readers look for it a little further in: mail gateways put lines before it.
    if b"%PDF-" in data[:1024]:
        return UnsupportedImageTypeError(
            "This is a PDF document, which is not accepted here. The tasks that read documents "
            f"take it, such as /v1/tasks/ocr; here send {ACCEPTED}."
        )
    for offset, magic, name in FOREIGN:
        if data.startswith(magic, offset):
            return _unsupported(name)
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<"):
        for mark, name in MARKUP:
            if mark in head:
                return _unsupported(name)
    return NotAnImageError(f"The bytes are no picture that is recognised; send {ACCEPTED}.")


def _unsupported(name: str) -> UnsupportedImageTypeError:
    return UnsupportedImageTypeError(f"This is {name}, which is not accepted; send {ACCEPTED}.")
