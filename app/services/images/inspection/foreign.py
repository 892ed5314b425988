"""Names files that are not accepted pictures, so that a refusal can say what was sent."""

import re

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
    (0, b"BLP1", "a Blizzard texture, BLP"),
    (0, b"BLP2", "a Blizzard texture, BLP"),
    (0, b"FTEX", "a game's texture, FTEX"),
    (4, b"\x11\xaf", "an Autodesk animation, FLI"),
    (4, b"\x12\xaf", "an Autodesk animation, FLC"),
    (20, b"GIMP", "a GIMP brush"),
    (0, b"DanM", "a Microsoft Paint picture, MSP"),
    (0, b"LinS", "a Microsoft Paint picture, MSP"),
    (2048, b"PCD_", "a Kodak Photo CD picture"),
    (0, b"\x80\xe8\0\0", "a PIXAR picture"),
    (0, b"Image type:", "an IFUNC picture, IM"),
    (0, b"\x28\0\0\0", "a bitmap without a file's header, DIB"),
    (0, b"\x89LFP", "a Lytro picture"),
    (0, b"FPF Public Image", "a FLIR picture, FPF"),
    (0, b"\xffWPC", "a WordPerfect drawing"),
    (0, b"PGF", "a PGF picture"),
    (0, b"XISF", "an astronomer's picture, XISF"),
    (8, b"AIF", "an AIFF sound"),
    (25, b"ARECOYK", "a camera's raw picture, Kyocera's"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"wide", "a QuickTime video"),
    (4, b"free", "a QuickTime video"),
    (4, b"skip", "a QuickTime video"),
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
    (0, b"\0asm", "a WebAssembly program"),
    (0, b"IIII", "a camera's raw picture, IIQ"),
    (0, b"MMMM", "a camera's raw picture, IIQ"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (0, b"{\\rtf", "an RTF document"),
    (60, b"BOOKMOBI", "a Mobipocket book"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video or sound"),
    (0, b"fLaC", "a FLAC sound"),
    (0, b"MThd", "a MIDI sound"),
    (0, b"#!AMR", "an AMR sound"),
    (0, b"\xff\xfb", "an MP3 sound"),
    (0, b"\xff\xf3", "an MP3 sound"),
    (0, b"\xff\xf1", "an AAC sound"),
    (0, b"\xff\xf9", "an AAC sound"),
    (0, b"SDPX", "a DPX picture"),
    (0, b"XPDS", "a DPX picture"),
    (0, b"\x80\x2a\x5f\xd7", "a Cineon picture"),
    (344, b"n+1\0", "a NIfTI picture"),
    (344, b"ni1\0", "a NIfTI picture"),
    (0, b"\1\0\x09\0\0\3", "a Windows metafile, WMF"),
    (522, b"\0\x11\2\xff\x0c\0", "a QuickDraw picture, PICT"),
    (0, b"FWS", "a Flash animation"),
    (0, b"CWS", "a Flash animation"),
    (0, b"glTF", "a glTF model"),
    (0, b"BLENDER", "a Blender scene"),
    (0, b"AC10", "an AutoCAD drawing, DWG"),
    (0, b"LZIP", "an lzip archive"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 archive"),
    (0, b"\x1f\x9d", "a compress archive"),
    (0, b"MSCF", "a cabinet archive"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"\0\1\0\0\0", "a TrueType font"),
    (0, b"OTTO", "an OpenType font"),
    (0, b"wOFF", "a web font"),
    (0, b"wOF2", "a web font"),
)
"""Offset, bytes and name for the refusal."""

NETPBM = {
    **dict.fromkeys(b"14", "a PBM picture"),
    **dict.fromkeys(b"25", "a PGM picture"),
    **dict.fromkeys(b"36", "a PPM picture"),
    ord("7"): "a PAM picture",
    **dict.fromkeys(b"Ff", "a PFM picture"),
}
"""Netpbm types by the second letter, between a P and white space."""
PCX_VERSIONS = frozenset({0, 2, 3, 4, 5})
TGA_FOOTER = b"TRUEVISION-XFILE.\0"

MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<head", "an HTML page"),
    (b"<body", "an HTML page"),
    (b"<error", "an XML document"),
    (b"<?xml", "an XML document"),
)
_CHARACTER = rb"(?:[\t\n\r\x20-\x7e]|[\xc3-\xf4][\x80-\xbf]{1,3})"
TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"data:[\w.+-]+/[\w.+-]+[;,]"), "a data URL and not what it stands for"),
    (
        re.compile(rb"(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR|Qk[0-3]|SUkqA|TU0AK|AAAA[A-Z])[\w+/]{8}"),
        "base64",
    ),
    (
        re.compile(rb"version https://git-lfs"),
        "a pointer of Git LFS and not the file that it stands for",
    ),
    (re.compile(rb"\s*[\[{]\s*[\"{\[\]}\d-]"), "JSON"),
    (re.compile(rb"\s*(?:https?|s3|gs|file)://"), "a URL and not what it stands for"),
    (
        # A PNG with other line ends, or a PNG or JPEG decoded as Latin-1 or UTF-8.
        re.compile(
            rb"\x89PNG\n\x1a\n|(?:\xc2\x89|\xef\xbf\xbd)PNG"
            rb"|(?:\xef\xbf\xbd){3}|\xc3\xbf\xc3\x98\xc3\xbf"
        ),
        "a picture that was changed as if it were text",
    ),
    (re.compile(_CHARACTER + rb"{24}|" + _CHARACTER + rb"+\Z"), "text"),
)
"""Patterns of texts that are sent by mistake, with their names."""


def name(data: bytes) -> str | None:
    """Return the name of a known file type, or None."""
    by_mark = next((n for at, mark, n in FOREIGN if data.startswith(mark, at)), None)
    return _by_fields(data) or by_mark or _by_markup(data[:4096])


def text_kind(data: bytes) -> str | None:
    """Return the name of a text sent in place of a picture, such as a URL or an error, or None."""
    return next((kind for begins, kind in TEXTS if begins.match(data)), None)


def _by_fields(data: bytes) -> str | None:
    """Return the name of a type with a short signature or none, by its header fields."""
    if data[:1] == b"P" and data[2:3].isspace() and data[1] in NETPBM:
        return NETPBM[data[1]]
    # Magic number, version, run-length encoding, bits per sample.
    if data[:1] == b"\x0a" and data[1:2] and data[1] in PCX_VERSIONS and data[2:3] == b"\1":
        return "a PCX picture"
    return "a TGA picture" if data.endswith(TGA_FOOTER) or _is_tga(data) else None


def _by_markup(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    head = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((n for mark, n in MARKUP if mark in head), None) if head[:1] == b"<" else None


def _is_tga(data: bytes) -> bool:
    """Return whether ``data`` begins like a Targa picture, which has no signature."""
    return (
        len(data) > 18
        and data[1] < 2
        and data[2] in {1, 2, 3, 9, 10, 11}
        and data[7] in {0, 15, 16, 24, 32}
        and data[16] in {8, 15, 16, 24, 32}
        and any(data[12:14])
        and any(data[14:16])
    )
