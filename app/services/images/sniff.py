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
    (0, b"#?RGBE", "a Radiance HDR picture"),
    (0, b"\0\0\0\x0cJXS ", "a JPEG XS picture"),
    (0, b"\xb1\x68\xde\x3a", "a DCX picture"),
    (8, b"ILBM", "an IFF picture, ILBM"),
    (8, b"PBM ", "an IFF picture, PBM"),
    (8, b"ACON", "an animated Windows cursor"),
    (8, b"CDR", "a CorelDRAW drawing"),
    (0, b"Paint Shop Pro Image File", "a Paint Shop Pro picture"),
    (0, b"\x13\xab\xa1\x5c", "an ASTC texture"),
    (0, b"PVR\3", "a PowerVR texture, PVR"),
    (0, b"VTF\0", "a Valve texture, VTF"),
    (0, b"BLP2", "a Blizzard texture, BLP"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"wide", "a QuickTime video"),
    (128, b"DICM", "a DICOM picture"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw picture, RAF"),
    (0, b"IIU\0", "a camera's raw picture, RW2"),
    (0, b"IIRO", "a camera's raw picture, ORF"),
    (0, b"IIRS", "a camera's raw picture, ORF"),
    (0, b"MMOR", "a camera's raw picture, ORF"),
    (6, b"HEAPCCDR", "a camera's raw picture, CRW"),
    (0, b"\0MRM", "a camera's raw picture, MRW"),
    (0, b"FOVb", "a camera's raw picture, X3F"),
    (0, b"ARRI", "a camera's raw picture, ARI"),
    (4, b"RED1", "a camera's raw video, R3D"),
    (4, b"RED2", "a camera's raw video, R3D"),
    (0, b"qoif", "a QOI picture"),
    (0, b"II\xbc\x01", "a JPEG XR picture"),
    (0, b"BPG\xfb", "a BPG picture"),
    (0, b"FLIF", "a FLIF picture"),
    (0, b"farbfeld", "a farbfeld picture"),
    (0, b"DDS ", "a DirectDraw texture, DDS"),
    (0, b"\xabKTX ", "a Khronos texture, KTX"),
    (0, b"icns", "an Apple icon"),
    (0, b"\0\0\2\0", "a Windows cursor or a TGA picture"),
    (0, b"\0\0\x0a\0", "a TGA picture"),
    (0, b"gimp xcf", "a GIMP drawing, XCF"),
    (0, b"SIMPLE  =", "a FITS picture"),
    (0, b"\x01\xda", "an SGI picture"),
    (0, b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (0, b"\x97JB2\r\n\x1a\n", "a JBIG2 picture"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile, WMF"),
    (40, b" EMF", "a Windows metafile, EMF"),
    (0, b"/* XPM */", "an XPM picture"),
    (0, b"#define ", "an XBM picture"),
    (0, b"id=ImageMagick", "an ImageMagick picture, MIFF"),
    (0, b"\x89HDF\r\n", "an HDF5 file"),
    (0, b"\x8aMNG", "an MNG animation"),
    (0, b"\x8bJNG", "a JNG picture"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)
"""Offset, bytes, what to call it in the refusal."""

NETPBM = {
    **dict.fromkeys(b"14", "a PBM picture"),
    **dict.fromkeys(b"25", "a PGM picture"),
    **dict.fromkeys(b"36", "a PPM picture"),
    ord("7"): "a PAM picture",
    **dict.fromkeys(b"Ff", "a PFM picture"),
}
"""Netpbm's types by their second letter, behind a P and before white space."""
PCX_VERSIONS = frozenset({0, 2, 3, 4, 5})
TGA_FOOTER = b"TRUEVISION-XFILE.\0"
DOCUMENT = (
    "This is a PDF document, which picture endpoints don't take; ask about its pages with a task "
    "that takes documents, as POST /v1/tasks/document-qa or /v1/tasks/ocr, or send a picture: "
    f"{ACCEPTED}."
)
PDF_WITHIN = 1024
"""Bytes in which a PDF's mark is looked for; mail gateways put lines before it."""

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
"""The brands of pictures and sequences, however they are coded."""
CODING_WITHIN = 65_536
"""Bytes in which the coding of a picture whose brands don't tell it is looked for."""
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
        # The reader of the boxes refuses other codings by name.
        head = data[:CODING_WITHIN]
        return ImageType.AVIF if b"av01" in head and b"hvc1" not in head else ImageType.HEIC
    raise _unsupported("an MP4 or QuickTime video")


def _refusal(data: bytes) -> NotAnImageError | UnsupportedImageTypeError:
    if b"%PDF-" in data[:PDF_WITHIN]:
        return UnsupportedImageTypeError(DOCUMENT)
    name = _by_fields(data) or next((n for at, m, n in FOREIGN if data.startswith(m, at)), None)
    name = name or _by_markup(data[:4096])
    if name is not None:
        return _unsupported(name)
    return NotAnImageError(f"The bytes are no picture that is recognised; send {ACCEPTED}.")


def _by_fields(data: bytes) -> str | None:
    """Name a type that has a mark of a byte or two, or none, by the fields that follow."""
    if data[:1] == b"P" and data[2:3].isspace() and data[1] in NETPBM:
        return NETPBM[data[1]]
    # Magic number, version, run-length encoding, bits a sample.
    if data[:1] == b"\x0a" and data[1:2] and data[1] in PCX_VERSIONS and data[2:3] == b"\1":
        return "a PCX picture"
    return "a TGA picture" if data.endswith(TGA_FOOTER) or _is_tga(data) else None


def _by_markup(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    head = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((n for mark, n in MARKUP if mark in head), None) if head[:1] == b"<" else None


def _is_tga(data: bytes) -> bool:
    """Whether ``data`` begins as a Targa picture does, which has no mark of its own."""
    return (
        len(data) > 18
        and data[1] < 2
        and data[2] in {1, 2, 3, 9, 10, 11}
        and data[7] in {0, 15, 16, 24, 32}
        and data[16] in {8, 15, 16, 24, 32}
        and any(data[12:14])
        and any(data[14:16])
    )


def _unsupported(name: str) -> UnsupportedImageTypeError:
    return UnsupportedImageTypeError(f"This is {name}, which is not accepted; send {ACCEPTED}.")
