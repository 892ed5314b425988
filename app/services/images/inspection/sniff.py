"""Detects a picture's type by its bytes, whatever type was declared."""

from app.domain.errors import NotAnImageError, UnsupportedImageTypeError
from app.domain.image import ImageType
from app.services.images.inspection import foreign

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
"""Offset, bytes and type of each signature."""

DOCUMENT = (
    "This is a PDF document, which picture endpoints don't take; ask about its pages with a task "
    "that takes documents, as POST /v1/tasks/document-qa or /v1/tasks/ocr, or send a picture: "
    f"{ACCEPTED}."
)
PDF_WITHIN = 1024
"""Leading bytes that are searched for a PDF signature, since mail gateways insert lines."""

RAW_BRANDS = {b"crx ": "a camera's raw picture, CR3"}
SHORT_HEIF = b"mif3"
OTHER_BRANDS = {
    b"avci": "a HEIF picture coded as AVC (H.264)",
    b"avcs": "a HEIF sequence coded as AVC (H.264)",
    b"j2ki": "a HEIF picture coded as JPEG 2000",
    b"j2is": "a HEIF sequence coded as JPEG 2000",
    b"vvic": "a HEIF picture coded as VVC (H.266)",
    b"vvis": "a HEIF sequence coded as VVC (H.266)",
    b"evbi": "a HEIF picture coded as EVC",
    b"jpeg": "a HEIF picture coded as JPEG",
    b"jpgs": "a HEIF sequence coded as JPEG",
}
HEIF_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf", b"heif", b"unif", b"1pic"})
"""Brands of pictures and sequences with any coding."""
CODING_WITHIN = 65_536
"""Leading bytes that are searched for the coding if the brands do not reveal it."""
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})


def sniff(data: bytes) -> ImageType:
    """Return the type of ``data`` by its first bytes, without a decoder.

    Raises `UnsupportedImageTypeError` for a recognised type that is not accepted, and
    `NotAnImageError` for everything else.
    """
    if not data:
        raise NotAnImageError("The picture is empty: it has no bytes.")
    # Canon's raw files share TIFF's signature but have a mark of their own after it.
    if data[8:10] == b"CR" and data[:2] in {b"II", b"MM"}:
        raise _unsupported("a camera's raw picture, CR2")
    if data[:2] in {b"II", b"MM"} and data[8:12] in {b"IIII", b"MMMM"}:
        raise _unsupported("a camera's raw picture, IIQ")
    for offset, magic, media_type in SIGNATURES:
        if data.startswith(magic, offset):
            return media_type
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    raise _refusal(data)


def _by_brand(data: bytes) -> ImageType:
    size = int.from_bytes(data[:4], "big")
    brands = {data[at : at + 4] for at in range(8, min(size, 256), 4) if at != 12}
    if data[8:12] == SHORT_HEIF or data[16:24].endswith(b"mini"):
        raise _unsupported("a HEIF or AVIF picture in the short form (a `mini` box)")
    for names in (RAW_BRANDS, OTHER_BRANDS):
        if data[8:12] in names:
            raise _unsupported(names[data[8:12]])
    # A file may claim both (`mif1` with either codec); the codec's own brand decides.
    if data[8:12] in AVIF_BRANDS or (brands & AVIF_BRANDS and not brands & HEIC_BRANDS):
        return ImageType.AVIF
    if brands & HEIC_BRANDS:
        return ImageType.HEIC
    if SHORT_HEIF in brands:
        raise _unsupported("a HEIF or AVIF picture in the short form (a `mini` box)")
    if brands & HEIF_BRANDS:
        # The reader of the boxes names and refuses other codings.
        head = data[:CODING_WITHIN]
        return ImageType.AVIF if b"av01" in head and b"hvc1" not in head else ImageType.HEIC
    raise _unsupported("an MP4 or QuickTime video")


def _refusal(data: bytes) -> NotAnImageError | UnsupportedImageTypeError:
    if b"%PDF-" in data[:PDF_WITHIN]:
        return UnsupportedImageTypeError(DOCUMENT)
    name = foreign.name(data)
    if name is not None:
        return _unsupported(name)
    kind = foreign.text_kind(data) or "no picture that is recognised"
    return NotAnImageError(f"The bytes are {kind}; send {ACCEPTED}.")


def _unsupported(name: str) -> UnsupportedImageTypeError:
    return UnsupportedImageTypeError(f"This is {name}, which is not accepted; send {ACCEPTED}.")
