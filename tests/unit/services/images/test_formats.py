import struct
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from app.domain.errors import ImageBombError
from app.domain.image import ImageLimits
from app.services.images.formats import exif, heif, icc, jpeg, png
from app.services.images.formats.boxes import Box
from app.services.images.formats.jpeg_proof import SCAN
from fixtures.images import chunk, corners, encoded, page, photo, with_gps
from fixtures.images import png as grey

LIMITS = ImageLimits()
BASELINE = encoded(photo(80, 60), "JPEG")
PROGRESSIVE = encoded(photo(80, 60), "JPEG", progressive=True)
DQT, DHT, SOF, SOS, DRI = 0xDB, 0xC4, 0xC0, 0xDA, 0xDD

EMPTY_TABLES = b"\xff\xc4\x42\x6a" + bytes(17) * 1000


def segment(data: bytes, marker: int, nth: int = 0) -> tuple[int, int]:
    """Return start and end of the payload of the nth segment with this marker."""
    at, seen = 2, 0
    while True:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == marker:
            if seen == nth:
                return at + 4, at + 2 + size
            seen += 1
        at += 2 + size


def without(data: bytes, marker: int) -> bytes:
    start, end = segment(data, marker)
    return data[: start - 4] + data[end:]


def changed(data: bytes, marker: int, offset: int, value: int) -> bytes:
    start, _ = segment(data, marker)
    return data[: start + offset] + bytes([value]) + data[start + offset + 1 :]


# --- JPEG -------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [BASELINE, PROGRESSIVE])
def test_a_whole_jpeg_without_metadata_is_returned_as_the_same_object(data):
    assert jpeg.stripped(data, LIMITS) is data


@pytest.mark.parametrize(
    ("fault", "data"),
    [
        ("no quantisation table", without(BASELINE, DQT)),
        ("no Huffman table", without(BASELINE, DHT)),
        ("no frame", without(BASELINE, SOF)),
        ("no end", BASELINE[:-2]),
        ("half a scan", BASELINE[: len(BASELINE) // 2]),
        ("quantisation slot", changed(BASELINE, DQT, 0, 0x04)),
        ("quantisation precision", changed(BASELINE, DQT, 0, 0x20)),
        ("Huffman class", changed(BASELINE, DHT, 0, 0x20)),
        ("Huffman counts", changed(BASELINE, DHT, 1, 0xFF)),
        ("Huffman symbol", changed(BASELINE, DHT, 17, 0x40)),
        ("Huffman tables without end", BASELINE[:2] + EMPTY_TABLES + BASELINE[2:]),
        ("sampling of nothing", changed(BASELINE, SOF, 7, 0x00)),
        ("component without table", changed(BASELINE, SOF, 8, 3)),
        ("component count", changed(BASELINE, SOF, 5, 2)),
        ("component twice", changed(BASELINE, SOF, 9, 1)),
        ("scan of a stranger", changed(BASELINE, SOS, 1, 9)),
        ("scan of none", changed(BASELINE, SOS, 0, 0)),
        ("scan's table missing", changed(BASELINE, SOS, 2, 0x33)),
    ],
)
def test_a_jpeg_that_lacks_what_a_decoder_needs_is_not_recognised_as_complete(fault, data):
    assert jpeg.stripped(data, LIMITS) is None, fault


@pytest.mark.parametrize(
    ("fault", "offset", "value"),
    [("first coefficients with others", 8, 5), ("shift out of range", 9, 0x0E)],
)
def test_a_progressive_jpeg_with_an_impossible_scan_is_not_recognised_as_complete(
    fault, offset, value
):
    assert jpeg.stripped(changed(PROGRESSIVE, SOS, offset, value), LIMITS) is None, fault


def test_a_jpeg_cut_into_endless_segments_is_refused():
    comment = b"\xff\xfe\0\2"

    with pytest.raises(ImageBombError):
        jpeg.read(BASELINE[:2] + comment * 20_001 + BASELINE[2:], LIMITS)


@pytest.mark.parametrize("last", [b"\0", b"\xd0", b"\xfe", b"\xd9"])
def test_a_jpeg_full_of_fill_bytes_is_read_once_from_end_to_end(last):
    # Reading each of them more than once would take hours.
    fill = b"\xff" * 2_000_000 + last
    scan = len(BASELINE) - 2

    assert jpeg.read(BASELINE[:2] + b"\xff" * 2_000_000 + BASELINE[2:], LIMITS).width == 80
    assert (jpeg.stripped(BASELINE[:scan] + fill, LIMITS) is not None) == (last == b"\xd9")


def test_a_scan_ends_at_every_marker_but_a_restart():
    restarts = BASELINE[:2] + b"\xff\xdd\0\4\0\4" + BASELINE[2:]
    _, scan = segment(restarts, SOS)
    for byte in range(256):
        data = restarts[:scan] + b"ab\xff" + bytes([byte]) + b"\0\2"

        found = [each for each in jpeg.segments(data, LIMITS) if each.marker == SCAN]

        # 0 is stuffed: the 0xFF is data. 0xFF is fill, and no marker's code.
        goes_on = byte in {0, 0xFF, *range(0xD0, 0xD8)}
        assert [each.end for each in found] == ([] if goes_on else [scan + 2]), byte


def test_a_stuffed_byte_between_segments_is_not_mistaken_for_a_picture():
    stuffed = b"\xff\0\0\5abc"

    assert jpeg.stripped(BASELINE[:2] + stuffed + BASELINE[2:], LIMITS) == BASELINE


def test_only_data_that_decoders_ignore_is_cut_from_a_jpeg():
    data = with_gps()
    result = jpeg.stripped(data, LIMITS)

    assert result is not None
    assert len(result) < len(data)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(result)) as after:
        assert before.tobytes() == after.tobytes()
        assert set(after.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}


def test_thumbnails_are_cut_from_a_jpegs_own_segments():
    start, end = segment(BASELINE, 0xE0)
    pixel = b"\1\1\xaa\xbb\xcc"
    mark = b"\xff\xe0" + struct.pack(">H", 2 + 12 + len(pixel)) + BASELINE[start : start + 12]
    extension = b"\xff\xe0\0\x0dJFXX\0\x13" + pixel
    data = BASELINE[:2] + mark + pixel + extension + BASELINE[end:]

    result = jpeg.stripped(data, LIMITS)

    assert result == BASELINE


def test_an_adobe_rgb_jpeg_is_decoded_to_keep_its_colours():
    # Three components that are RGB and not YCbCr: only the Adobe marker says so.
    data = encoded(corners(), "JPEG", keep_rgb=True)

    assert not jpeg.read(data, LIMITS).plain


# --- PNG --------------------------------------------------------------------------------


def test_a_whole_png_without_metadata_is_returned_as_the_same_object():
    data = encoded(photo(80, 60))

    assert png.stripped(data, LIMITS) is data


@pytest.mark.parametrize(
    ("fault", "data"),
    [
        ("too few rows", grey(rows=bytes(9 * 7))),
        ("too many rows", grey(rows=bytes(9 * 9))),
        ("unknown filter", grey(rows=b"\5" + bytes(9 * 8 - 1))),
        ("not packed", grey(chunk(b"IDAT", b"plain"))),
        ("checksum", grey()[:29] + b"\0\0\0\0" + grey()[33:]),
        ("no end", grey()[:-12]),
        ("grey with a palette", grey(chunk(b"PLTE", b"abc"))),
        ("header twice", grey(chunk(b"IHDR", bytes(13)))),
        (
            "palette of no palette picture",
            encoded(page(40, 30, 9).convert("P")).replace(b"PLTE", b"pLTE"),
        ),
    ],
)
def test_a_png_that_lacks_what_it_announces_is_not_recognised_as_complete(fault, data):
    assert png.stripped(data, LIMITS) is None, fault


def test_a_png_with_transparency_interlacing_or_deep_samples_is_not_passed_through():
    for picture in (corners().convert("RGBA"), corners().convert("LA"), Image.new("I;16", (9, 9))):
        assert not png.read(encoded(picture), LIMITS).plain
    assert not png.read(encoded(corners(), transparency=(1, 2, 3)), LIMITS).plain


def test_text_chunks_never_reach_the_decoder():
    data = grey(chunk(b"zTXt", b"bomb\0\0" + bytes(50)), chunk(b"tEXt", b"x"))

    assert png.essential(data) == grey()


# --- colour profiles and EXIF -----------------------------------------------------------


def test_an_srgb_profile_is_recognised_by_its_description():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert icc.is_srgb(profile)
    assert not icc.is_srgb(profile.replace("sRGB".encode("utf-16-be"), "P3__".encode("utf-16-be")))
    assert not icc.is_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())


@pytest.mark.parametrize("end", [0, 40, 130, 140, 200])
def test_a_truncated_profile_is_not_mistaken_for_srgb(end):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert not icc.is_srgb(profile[:end])


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"MM\0*\0\0\0\x08",
        b"II*\0" + struct.pack("<IH", 8, 65_535),
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 9, 0),
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 0, 0),
        b"II*\0" + struct.pack("<I", 0xFFFF_FFFF),
    ],
)
def test_broken_exif_is_read_as_upright(block):
    assert exif.orientation(block) == 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_read_in_either_byte_order(order, orientation):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    block = mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)

    assert exif.orientation(b"Exif\0\0" + block) == orientation


@pytest.mark.parametrize(
    ("boxes", "orientation"),
    [
        ([], 1),
        ([(b"irot", 1)], 8),
        ([(b"irot", 2)], 3),
        ([(b"irot", 3)], 6),
        ([(b"imir", 0)], 4),
        ([(b"imir", 1)], 2),
        ([(b"irot", 3), (b"imir", 1)], 5),
        ([(b"irot", 1), (b"imir", 1)], 7),
        ([(b"irot", 2), (b"imir", 1)], 4),
    ],
)
def test_heic_rotations_and_mirrors_are_reported_as_the_equal_exif_orientation(boxes, orientation):
    data = bytes(value for _, value in boxes)
    own = [Box(name, at, at + 1) for at, (name, _) in enumerate(boxes)]

    assert heif._orientation(data, own) == orientation
