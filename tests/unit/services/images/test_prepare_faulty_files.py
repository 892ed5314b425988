"""Files that were once misread or wrongly refused, and others of their kinds."""

import lzma
import struct
import zlib

import pytest
import pyvips
from PIL import Image, ImageCms

from app.domain.errors import ImageDamagedError, ImageError, UnsupportedImageTypeError
from app.domain.image import ImageLimits, ImageReport, ImageType, ReceivedImage, Treatment
from app.services.images.formats import colour, exif, tiff_tags
from app.services.images.inspection.header import inspect
from app.services.images.prepare import prepare, prepare_undecoded
from fixtures.images import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    chunk,
    corners,
    encoded,
    photo,
    sample,
    tiff_of,
)
from fixtures.images import png as grey
from tests.support.files import heif, jpeg
from tests.support.files.picture_judge import judge
from tests.support.files.tiff import chained, directory, packed, tiff

LIMITS = ImageLimits()
WHITE = (255, 255, 255)


def prepared(data: bytes) -> tuple[ImageReport, Image.Image]:
    report = prepare(ReceivedImage(data), LIMITS)
    return report, judge(report, LIMITS).convert("RGB")


def codes(report: ImageReport) -> list[str]:
    return [warning.code for warning in report.warnings]


def at(picture: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    pixel = picture.getpixel(place)
    assert isinstance(pixel, tuple)
    return pixel


def like(one: tuple[int, ...], other: tuple[int, ...], by: int = 4) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def assert_quarters(picture: Image.Image, by: int = 4) -> None:
    """Assert that the quarters are red, green, blue and yellow in reading order."""
    width, height = picture.size
    places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    for place, wanted in zip(places, (RED, GREEN, BLUE, YELLOW), strict=True):
        assert like(at(picture, place), wanted, by), (place, at(picture, place))


def bmp_of_kind(*, bits: int, compression: int = 0, masks: tuple[int, ...] = ()) -> bytes:
    """Return a BMP of 8 x 8 zero pixels with the given header."""
    extra = struct.pack(f"<{len(masks)}I", *masks)
    form = 3 if masks else compression
    head = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, bits, form, 256, 0, 0, 0, 0)
    start = 14 + len(head) + len(extra)
    return b"BM" + struct.pack("<IHHI", start + 256, 0, 0, start) + head + extra + bytes(256)


# --- what no strict decoder opens ---------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "png-rgb-depth-2.png",
        "png-compression-method-128.png",
        "png-plte-between-idats.png",
        "jpeg-sos-components-swapped.jpg",
        "bigtiff-ifd-offset-over-63-bits.tif",
    ],
)
def test_pictures_that_no_strict_decoder_opens_are_refused_as_damaged(name):
    with pytest.raises(ImageDamagedError):
        prepare(ReceivedImage(sample(name)), LIMITS)


# --- rows that are missing ----------------------------------------------------------------


def shortened(data: bytes, share: float, *, end: bytes) -> bytes:
    scan = data.index(b"\xff\xda")
    return data[: scan + int((len(data) - scan) * share)] + end


@pytest.mark.parametrize("end", [b"\xff\xd9", b""], ids=["end marked", "end missing"])
@pytest.mark.parametrize("kind", [{}, {"subsampling": 0}, {"optimize": True}])
def test_a_jpeg_without_most_of_its_rows_is_refused_with_the_share(end, kind):
    data = shortened(encoded(photo(), "JPEG", quality=85, **kind), 0.3, end=end)

    with pytest.raises(ImageDamagedError, match=r"data for only \d+% of its rows"):
        prepare(ReceivedImage(data), LIMITS)


@pytest.mark.parametrize("kind", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}])
def test_half_a_photograph_with_an_end_marker_never_passes(kind):
    pictures = [
        encoded(photo(width, width * 2 // 3), "JPEG", quality=quality, **kind)
        for width in (256, 400, 640)
        for quality in (75, 85, 92, 95)
    ]

    for data in pictures:
        half = ReceivedImage(shortened(data, 0.47, end=b"\xff\xd9"))
        assert prepare_undecoded(half, inspect(half.data, LIMITS), LIMITS) is None


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_jpeg_that_lacks_restarts_is_refused(share):
    data = encoded(photo(), "JPEG", quality=85, restart_marker_blocks=4)

    with pytest.raises(ImageDamagedError):
        prepare(ReceivedImage(shortened(data, share, end=b"\xff\xd9")), LIMITS)


@pytest.mark.parametrize("end", [b"\xff\xd9", b""], ids=["end marked", "end missing"])
def test_a_jpeg_without_some_of_its_rows_has_a_warning_with_the_share(end):
    data = shortened(encoded(photo(), "JPEG", quality=85), 0.9, end=end)

    report, picture = prepared(data)

    assert picture.size == (600, 400)
    assert "image_incomplete" in codes(report)
    assert "%" in next(w.message for w in report.warnings if w.code == "image_incomplete")
    assert ("image_repaired" in codes(report)) == (not end)


@pytest.mark.parametrize("size", [(1400, 900), (300, 200)], ids=["to shrink", "that fits"])
def test_a_progressive_jpeg_without_its_last_scans_has_a_warning_with_the_share(size):
    data = encoded(photo(*size), "JPEG", progressive=True)
    whole, _ = prepared(data)
    third_scan = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)][2]

    report, _ = prepared(data[:third_scan] + b"\xff\xd9")

    assert "image_incomplete" not in codes(whole)
    assert "image_incomplete" in codes(report)


def test_the_sample_without_most_of_its_data_is_refused():
    with pytest.raises(ImageDamagedError, match="rows"):
        prepare(ReceivedImage(sample("jpeg-70-percent-lost-with-eoi.jpg")), LIMITS)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_other_types_with_missing_data_are_refused(kind):
    data = encoded(photo(), kind)

    with pytest.raises(ImageDamagedError):
        prepare(ReceivedImage(data[: len(data) * 6 // 10]), LIMITS)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_gif_whose_rows_end_before_its_frame_does_is_refused(share):
    data = encoded(photo(), "GIF")
    there = int(len(data) * share)

    # Zeros in place of the rest, as after an interrupted download.
    with pytest.raises(ImageDamagedError):
        prepare(ReceivedImage(data[:there] + bytes(len(data) - there)), LIMITS)


@pytest.mark.parametrize("tile", [False, True])
def test_a_tiff_with_pieces_without_data_is_refused_with_the_share(tile):
    picture = pyvips.Image.new_from_memory(corners(64, 48).tobytes(), 64, 48, 3, "uchar")
    options = {"tile": tile, "tile_width": 16, "tile_height": 16 if tile else 12}
    data = bytearray(picture.copy(interpretation="srgb").tiffsave_buffer(**options))
    form = exif.dialect(bytes(data))
    sizes = next(
        entry
        for entry in exif.entries(bytes(data), form, form.first)
        if entry.tag in {tiff_tags.STRIP_BYTES, tiff_tags.TILE_BYTES}
    )
    (place,) = struct.unpack_from("<I", data, sizes.at + 8)
    width = 2 if sizes.kind == 3 else 4
    missing = sizes.length * 3 // 4
    data[place + width * (sizes.length - missing) : place + width * sizes.length] = bytes(
        width * missing
    )

    with pytest.raises(ImageDamagedError, match="data for only 25%"):
        prepare(ReceivedImage(bytes(data)), LIMITS)


@pytest.mark.parametrize("see_through", [False, True])
@pytest.mark.parametrize("colours", [4, 200])
def test_a_gif_has_the_colours_of_its_palette(colours, see_through):
    picture = corners(60, 40).quantize(colours)
    options = {"transparency": picture.getpixel((0, 0))} if see_through else {}

    _, shown = prepared(encoded(picture, "GIF", **options))

    assert like(at(shown, (5, 5)), WHITE if options else at(picture.convert("RGB"), (5, 5)))
    assert like(at(shown, (55, 35)), at(picture.convert("RGB"), (55, 35)), 12)


@pytest.mark.parametrize("used", [False, True])
def test_the_transparent_index_of_a_gif_may_lie_beyond_its_palette(used):
    picture = Image.new("P", (60, 40), 2 if used else 0)
    picture.putpalette([*RED, *BLUE, *GREEN, 0, 0, 0])
    picture.paste(0, (20, 0, 40, 40))
    picture.paste(1, (40, 0, 60, 40))
    data = bytearray(encoded(picture, "GIF", optimize=False, transparency=2))
    assert data[10] == 0x81, "a table of four colours"
    control = data.index(b"\x21\xf9\x04")
    data[control + 6] = 2 if used else 200
    data[13:25] = data[13:19]
    data[10] = 0x80

    _, shown = prepared(bytes(data))

    assert like(at(shown, (5, 5)), WHITE if used else RED)
    assert like(at(shown, (30, 5)), RED)
    assert like(at(shown, (55, 5)), BLUE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_cut_off_after_its_first_frame_is_read(kind):
    more = [photo(60, 40), photo(60, 40).transpose(Image.Transpose.ROTATE_180)]
    data = encoded(corners(60, 40), kind, save_all=True, append_images=more, lossless=True)

    report, picture = prepared(data[:-200])

    assert codes(report) == ["first_frame_only"]
    assert_quarters(picture, by=20)


@pytest.mark.parametrize("announced", [False, True])
def test_a_webps_orientation_counts_only_if_its_header_announces_it(announced):
    exif_block = Image.Exif()
    exif_block[exif.ORIENTATION] = 6
    data = bytearray(encoded(corners(60, 40), "WEBP", quality=95, exif=exif_block))
    flags = data.index(b"VP8X") + 8
    assert data[flags] & 8
    data[flags] &= 0xFF if announced else ~8 & 0xFF

    report, picture = prepared(bytes(data))

    assert report.received.orientation == (6 if announced else 1)
    assert picture.size == ((40, 60) if announced else (60, 40))


def bmp_of_fields(
    bits: int, masks: tuple[int, ...], *, height: int = 8, opacity: int = 255, profile: bytes = b""
) -> bytes:
    """Return a BMP whose last stored rows are red and then blue, its first ones the reverse."""

    def pixel(*samples: int) -> int:
        shifts = [(mask & -mask).bit_length() - 1 for mask in masks]
        pairs = zip(samples, masks, shifts, strict=False)
        return sum(round(value * (mask >> by) / 255) << by for value, mask, by in pairs)

    row = [pixel(*RED, opacity)] * 5 + [pixel(*BLUE, opacity)] * 4
    rows = b""
    for each in (row[::-1], row):
        packed_row = struct.pack(f"<9{'H' if bits == 16 else 'I'}", *each)
        rows += (packed_row + bytes(-len(packed_row) % 4)) * 4
    size = 124 if profile else 56 if len(masks) == 4 else 40
    head = struct.pack("<IiiHHIIiiII", size, 9, height, 1, bits, 3, 0, 0, 0, 0, 0)
    head += struct.pack(f"<{len(masks)}I", *masks)
    if profile:
        place = struct.pack("<II", 124 + len(rows), len(profile))
        head = head.ljust(56, b"\0") + b"DEBM" + bytes(52) + place + bytes(4)
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + head + rows + profile


@pytest.mark.parametrize("height", [8, -8])
@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (16, (0x7C00, 0x3E0, 0x1F)),
        (16, (0xF800, 0x7E0, 0x1F)),
        (16, (0xF00, 0xF0, 0xF)),
        (32, (0xFF, 0xFF00, 0xFF0000)),
        (32, (0xFF000000, 0xFF0000, 0xFF00)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF)),
    ],
)
def test_a_bmp_may_hold_its_colours_in_any_bits(bits, masks, height):
    _, picture = prepared(bmp_of_fields(bits, masks, height=height))

    assert picture.size == (9, 8)
    assert like(at(picture, (1, 1)), RED if height > 0 else BLUE, 9)
    assert like(at(picture, (8, 1)), BLUE if height > 0 else RED, 9)


@pytest.mark.parametrize(
    ("bits", "masks"),
    [(16, (0x7C00, 0x3E0, 0x1F, 0x8000)), (32, (0xFF, 0xFF00, 0xFF0000, 1 << 31))],
)
def test_the_transparency_of_a_bmp_may_have_one_bit(bits, masks):
    _, clear = prepared(bmp_of_fields(bits, masks, opacity=0))
    _, full = prepared(bmp_of_fields(bits, masks))

    assert at(clear, (1, 1)) == WHITE
    assert like(at(full, (1, 1)), RED, 9)


def test_the_profile_of_a_bmp_is_applied():
    p3 = colour.coded(12, 13)
    assert p3 is not None
    data = bmp_of_fields(32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), profile=p3)

    _, picture = prepared(data)

    assert like(at(picture, (1, 1)), (241, 0, 0), 6)


def test_a_bmp_with_bit_fields_and_missing_rows_is_refused():
    with pytest.raises(ImageDamagedError):
        prepared(bmp_of_fields(16, (0x7C00, 0x3E0, 0x1F))[:-20])


def test_a_smooth_jpeg_passes_if_its_decoder_calls_it_complete():
    data = encoded(Image.linear_gradient("L").convert("RGB"), "JPEG", quality=95)

    report, _ = prepared(data)

    assert report.treatment is Treatment.UNCHANGED
    assert not report.warnings


def test_a_complete_grey_picture_is_not_mistaken_for_an_incomplete_one():
    picture = Image.new("RGB", (1600, 1200), (128, 128, 128))
    picture.paste(photo(1600, 300))

    report, _ = prepared(encoded(picture, "JPEG"))

    assert "image_incomplete" not in codes(report)


@pytest.mark.parametrize("size", [(320, 200), (1600, 1200)], ids=["that fits", "to shrink"])
@pytest.mark.parametrize("scans", [1, 2, 3])
def test_a_jpeg_without_the_scans_of_its_colours_has_a_warning_with_the_share(size, scans):
    report, picture = prepared(jpeg.with_scans_apart(corners(*size), scans))

    if scans == 3:
        assert_quarters(picture, by=12)
        assert "image_incomplete" not in codes(report)
    else:
        message = next(w.message for w in report.warnings if w.code == "image_incomplete")
        assert f"{scans / 3:.0%}" in message


# --- repaired -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("jpeg-only-eoi-missing.jpg", "missing end"),
        ("jpeg-stray-bytes-between-segments.jpg", "belong to nothing"),
    ],
)
def test_a_jpeg_with_a_small_defect_is_repaired_with_a_warning(name, fault):
    report, _ = prepared(sample(name))

    assert codes(report) == ["image_repaired"]
    assert fault in report.warnings[0].message


# --- colours --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark",
    [
        b"JFIF\0\1\1\0\0\1\0\1\2\2" + bytes(12),
        b"JFIF\0\2\1\0\0\1\0\1\0\0",
        b"JFIF\0\1\1\0\0\1\0\1\0\0",
    ],
    ids=["with a thumbnail", "of another version", "plain"],
)
@pytest.mark.parametrize("transform", [0, 2])
def test_a_jpeg_keeps_its_colours_despite_contradictory_markers(mark, transform):
    plain = jpeg.segments(encoded(corners(), "JPEG", quality=95))
    adobe = b"Adobe\0\x64\0\0\0\0" + bytes([transform])
    marks = [(jpeg.JFIF, mark, b""), (jpeg.ADOBE, adobe, b"")]

    _, picture = prepared(jpeg.joined([*marks, *(s for s in plain if s[0] != jpeg.JFIF)]))

    assert_quarters(picture, by=12)


@pytest.mark.parametrize(("transform", "by_name"), [(0, False), (1, True)])
def test_a_jpeg_keeps_its_colours_with_an_overlong_adobe_marker(transform, by_name):
    # Without the marker the components' names decide the colours.
    picture = encoded(corners(), "JPEG", quality=95, keep_rgb=not transform)
    mark = b"Adobe\0\x64\0\0\0\0" + bytes([transform]) + b"and more"
    segments = [(jpeg.ADOBE, mark, b"")]
    for marker, body, scan in jpeg.segments(picture):
        names = body
        if marker in {jpeg.SOF, jpeg.SOS}:
            first, step = (6, 3) if marker == jpeg.SOF else (1, 2)
            renamed = bytearray(body)
            renamed[first : first + 3 * step : step] = b"RGB" if by_name else b"\1\2\3"
            names = bytes(renamed)
        if marker not in {jpeg.JFIF, jpeg.ADOBE}:
            segments.append((marker, names, scan))

    report, shown = prepared(jpeg.joined(segments))

    assert report.treatment is Treatment.STRIPPED
    assert_quarters(shown, by=12)


def test_a_tiff_with_five_samples_is_rgb_on_white():
    _, picture = prepared(sample("tiff-rgb-alpha-and-one-more.tif"))

    assert like(at(picture, (3, 3)), RED)


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ((0,), RED),  # "unspecified" is not transparency
        ((2,), WHITE),
        ((1,), WHITE),
        ((0, 2), WHITE),
        ((0, 0), RED),
        ((2, 0), WHITE),
        ((), RED),
        ((3,), RED),  # an undefined meaning
        ((999,), RED),
    ],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_extra_samples_of_a_tiff_are_transparency_if_it_says_so(extras, expected, bits):
    count = max(len(extras), 1)
    colours = (0, 0, 0) if extras == (1,) else RED
    data = tiff([*colours, *[0] * count], bits=bits, photometric=2, extras=extras)

    _, picture = prepared(data)

    assert like(at(picture, (4, 4)), expected)


@pytest.mark.parametrize(
    ("stored", "photometric", "extras", "expected"),
    [
        ((64, 32, 16, 128), 2, (1,), (191, 159, 143)),
        ((64, 32, 16, 7, 128), 2, (0, 1), (191, 159, 143)),
        ((64, 32, 16, 128, 7), 2, (1, 0), (191, 159, 143)),
        ((64, 128), 1, (1,), (191, 191, 191)),
        ((64, 32, 16, 128), 2, (2,), (159, 143, 135)),
    ],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_premultiplied_colours_of_a_tiff_are_divided_by_their_alpha_once(
    stored, photometric, extras, expected, bits
):
    data = tiff(stored, bits=bits, photometric=photometric, extras=extras)

    _, picture = prepared(data)

    assert like(at(picture, (4, 4)), expected, by=3)


@pytest.mark.parametrize(("colours", "count"), [(1, 1), (5, 4)])
def test_extra_samples_beside_grey_and_cmyk_are_ignored(colours, count):
    data = tiff([0] * count + [255] * 2, bits=8, photometric=colours, extras=(0, 0))

    report, picture = prepared(data)

    assert report.prepared.media_type is ImageType.PNG
    assert like(at(picture, (4, 4)), (0, 0, 0) if count == 1 else WHITE)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "zstd"])
def test_ycbcr_is_converted_to_rgb_in_any_compression(compression):
    data = encoded(corners(60, 40).convert("YCbCr"), "TIFF", compression=compression)

    _, picture = prepared(data)

    assert_quarters(picture)


@pytest.mark.parametrize("space", ["XYZ", "LAB"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("size", [(60, 40), (1600, 1200)])
def test_a_profile_for_other_colour_spaces_changes_nothing(kind, space, size):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()

    _, picture = prepared(encoded(corners(*size), kind, icc_profile=profile))

    assert_quarters(picture, by=8)


def test_the_sample_in_ycbcr_has_its_true_colours():
    _, picture = prepared(sample("tiff-ycbcr-lzw.tif"))

    assert like(at(picture, (3, 3)), (219, 30, 28))


def test_a_ten_bit_grey_heif_is_a_smooth_ramp():
    _, picture = prepared(sample("heif-grey-10-bit.heif"))

    ramp = [at(picture, (14, y))[0] for y in range(0, 100, 10)]

    assert ramp == sorted(ramp)
    assert ramp[0] < 10
    assert ramp[-1] > 220


def test_p3_colours_declared_by_numbers_are_converted_to_srgb():
    _, picture = prepared(sample("avif-nclx-p3.avif"))

    # The stored red is 220, 30, 30: in P3 a deeper red, which sRGB's hardly reaches.
    assert like(at(picture, (12, 8)), (241, 0, 0), 6)


def test_a_gamma_is_applied_as_browsers_apply_it():
    report, picture = prepared(sample("png-gama-1.0.png"))

    assert report.treatment is Treatment.ENCODED
    # Linear light of 220, 30 and 30 of 255, as sRGB.
    assert like(at(picture, (12, 8)), (239, 96, 96))


LINEAR = (b"gAMA", struct.pack(">I", 100_000))


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        ([(b"gAMA", struct.pack(">I", 45_455))], 128),
        ([LINEAR], 188),
        ([(b"sRGB", b"\0"), LINEAR], 128),
        ([(b"cICP", bytes([1, 8, 0, 1])), (b"sRGB", b"\0")], 188),
        ([(b"cICP", bytes([1, 13, 0, 1])), LINEAR], 128),
        ([(b"cICP", bytes([1, 7, 0, 1])), (b"sRGB", b"\0")], 141),
        ([(b"gAMA", bytes(4))], 128),
        ([(b"cHRM", bytes(32))], 128),
        ([(b"iCCP", b"x\0\0" + zlib.compress(b"junk" * 50)), LINEAR], 188),
        ([(b"sRGB", b"\x09"), LINEAR], 188),
    ],
)
def test_the_first_usable_declaration_of_a_pngs_colours_counts(chunks, shown):
    rows = (b"\0" + b"\x80" * 8) * 8
    data = grey(*[chunk(*each) for each in chunks], rows=rows)

    _, picture = prepared(data)

    assert like(at(picture, (4, 4)), (shown,) * 3, 2)


@pytest.mark.parametrize("gamma", [b"", chunk(b"gAMA", struct.pack(">I", 45_455))])
def test_chromaticities_of_a_png_count_only_beside_a_gamma(gamma):
    p3 = [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]
    data = encoded(corners(60, 40))
    head = data.index(b"IDAT") - 4
    data = data[:head] + gamma + chunk(b"cHRM", struct.pack(">8I", *p3)) + data[head:]

    report, picture = prepared(data)

    assert report.treatment is (Treatment.ENCODED if gamma else Treatment.STRIPPED)
    assert like(at(picture, (5, 5)), (241, 0, 0) if gamma else RED, 6)


def device_class(profile: bytes, name: bytes) -> bytes:
    return profile[:12] + name + profile[16:]


@pytest.mark.parametrize("size", [(60, 40), (1600, 1200)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("name", [b"link", b"abst", b"nmcl"])
def test_a_profile_that_cannot_be_applied_changes_nothing(name, kind, size):
    linear = colour.coded(1, 8)
    assert linear is not None
    data = encoded(corners(*size), kind, icc_profile=device_class(linear, name))

    _, picture = prepared(data)

    assert_quarters(picture, by=8)


def test_an_empty_profile_changes_nothing():
    webp = encoded(corners(60, 40), "WEBP", quality=95, icc_profile=b"12345678")
    place = webp.index(b"ICCP")
    webp = webp[: place + 4] + bytes(4) + webp[place + 16 :]
    webp = webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]
    bmp = bytearray(bmp_of_fields(16, (0x7C00, 0x3E0, 0x1F), profile=b"1234"))
    struct.pack_into("<I", bmp, 130, 0)

    for data, by in ((webp, 12), (bytes(bmp), 9)):
        _, picture = prepared(data)
        assert like(at(picture, (1, 1)), RED, by)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_an_rgb_profile_applies_to_grey_pixels_as_in_browsers(kind):
    data = encoded(Image.new("L", (60, 40), 128), kind, icc_profile=colour.coded(1, 8))

    _, picture = prepared(data)

    assert like(at(picture, (5, 5)), (188, 188, 188), 2)


@pytest.mark.parametrize("kind", [b"iden", b"iovl"])
def test_an_avif_that_is_composed_of_another_picture_is_read(kind):
    tile = encoded(corners(128, 128), "AVIF")
    # Version and flags, the background, the size, and the place of each picture.
    overlay = struct.pack(">2B4H2H2i", 0, 0, 0, 0, 0, 65_535, 128, 128, 0, 0)

    _, picture = prepared(
        heif.composed(
            kind, overlay if kind == b"iovl" else b"", (128, 128), tile, tiles=1, padded=0
        )
    )

    assert picture.size == (128, 128)
    assert_quarters(picture, by=12)


def test_an_icc_profile_in_an_avif_counts_before_numbers():
    data = bytearray(encoded(corners(60, 40), "AVIF", icc_profile=colour.coded(1, 4)))
    struct.pack_into(">HH", data, data.index(b"nclx") + 4, 9, colour.PQ)

    report, picture = prepared(bytes(data))

    assert codes(report) == []
    assert_quarters(picture, by=12)


@pytest.mark.parametrize(("transfer", "paper_white"), [(colour.PQ, 148), (colour.HLG, 191)])
def test_hdr_is_mapped_to_screen_brightness_with_a_warning(transfer, paper_white):
    numbers = chunk(b"cICP", bytes([9, transfer, 0, 1]))

    def shown(value: int) -> int:
        report, picture = prepared(grey(numbers, rows=(b"\0" + bytes([value]) * 8) * 8))
        assert codes(report) == ["hdr_tone_mapped"]
        return int(at(picture, (4, 4))[0])

    steps = [shown(value) for value in (0, 64, paper_white, 220, 255)]

    # Values brighter than a display of 1,000 nits are clipped.
    assert steps == sorted(steps)
    assert len(set(steps)) >= 4
    assert steps[0] < 3
    # Paper is nearly white, and highlights are brighter.
    assert 215 <= steps[2] <= 245


# --- sizes, thumbnails, frames ----------------------------------------------------------------


def test_a_gif_frame_smaller_than_its_screen_is_placed_on_white():
    _, picture = prepared(sample("gif-frame-smaller-than-screen.gif"))

    assert picture.size == (75, 50)
    assert at(picture, (1, 1)) == WHITE
    assert at(picture, (37, 25)) != WHITE


@pytest.mark.parametrize(
    "screen",
    [
        (640, 480),
        (640, 512),
        (800, 600),
        (1024, 768),
        (1280, 1024),
        (1600, 1200),
        (0, 0),
        (300, 99),
    ],
)
def test_a_gif_has_the_size_of_its_logical_screen(screen):
    data = bytearray(encoded(corners(60, 40), "GIF"))
    frame = data.index(b"\x2c\0\0\0\0\x3c\0\x28\0")
    data[6:10] = struct.pack("<HH", *screen)
    data[frame + 1 : frame + 5] = struct.pack("<HH", 8, 4)

    report, picture = prepared(bytes(data))

    assert (report.received.width, report.received.height) == (
        max(screen[0], 68),
        max(screen[1], 44),
    )
    scale = report.scale
    inside = at(picture, (int((8 + 15) * scale), int((4 + 10) * scale)))
    assert like(inside, RED, 12)
    if screen[0] > 68:
        assert at(picture, (picture.width - 1, picture.height - 1)) == WHITE


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["page first", "thumbnail first"])
def test_a_thumbnail_is_not_a_page_of_a_tiff(order):
    pages = [
        directory([9, 9, 9], photometric=2, size=40),
        directory([200, 100, 50], photometric=2, size=8, subfile=1),
    ]

    report, picture = prepared(chained([pages[n] for n in order]))

    assert report.received.frames == 1
    assert picture.size == (40, 40)
    assert codes(report) == []


def test_the_sample_with_a_thumbnail_has_one_page():
    report, picture = prepared(sample("tiff-with-thumbnail.tif"))

    assert report.received.frames == 1
    assert picture.size == (600, 800)


@pytest.mark.parametrize("name", ["heic-sequence.heics", "avif-sequence.avif"])
def test_a_sequence_gives_its_first_picture(name):
    report, picture = prepared(sample(name))

    assert_quarters(picture, by=12)
    assert report.received.frames == 3
    assert codes(report) == ["first_frame_only"]


def test_a_cropped_avif_shows_only_its_crop():
    # 160 x 100 pixels around a point a quarter to the left of and above the centre.
    cropped = heif.box(b"clap", struct.pack(">IIIIiIiI", 160, 1, 100, 1, -80, 1, -50, 1))

    report, picture = prepared(heif.with_property(encoded(corners(), "AVIF"), cropped))

    assert (report.received.width, report.received.height) == picture.size == (160, 100)
    assert all(like(at(picture, place), RED, 12) for place in ((5, 5), (150, 90)))


@pytest.mark.parametrize("side", [16, 32, 64])
def test_an_icon_stays_a_png(side):
    report, _ = prepared(encoded(photo(side, side), "WEBP"))

    assert report.prepared.media_type is ImageType.PNG


# --- what is read, and what is refused by name ------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place", "expected"),
    [
        ("tiff-private-undefined-tag.tif", (15, 10), (200, 30, 30)),
        ("tiff-zstd.tif", (3, 3), RED),
        ("tiff-old-jpeg-tiled.tif", (5, 5), (132, 153, 174)),
    ],
)
def test_a_tiff_that_one_of_the_decoders_can_read_is_read(name, place, expected):
    _, picture = prepared(sample(name))

    assert like(at(picture, place), expected, 12)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "lzma", "zstd", "jpeg"])
def test_a_tiff_is_read_in_any_compression(compression):
    _, picture = prepared(encoded(corners(60, 40), "TIFF", compression=compression))

    assert_quarters(picture, by=20 if compression == "jpeg" else 4)


@pytest.mark.parametrize("tile", [False, True])
def test_a_tiff_compressed_with_webp_is_read(tile):
    picture = pyvips.Image.new_from_memory(corners(60, 40).tobytes(), 60, 40, 3, "uchar")
    data = picture.copy(interpretation="srgb").tiffsave_buffer(
        compression="webp", lossless=True, tile=tile
    )

    _, shown = prepared(bytes(data))

    assert_quarters(shown)


@pytest.mark.parametrize("mode", ["CMYK", "I;16"])
def test_pillows_decoder_keeps_colours_and_depth(mode):
    picture = corners(60, 40).convert("CMYK")
    if mode == "I;16":
        samples = b"".join(struct.pack("<H", 257 * n) for n in range(256)) * 2
        picture = Image.frombytes("I;16", (256, 2), samples)

    _, one = prepared(encoded(picture, "TIFF", compression="tiff_lzw"))
    _, other = prepared(encoded(picture, "TIFF", compression="zstd"))

    assert like(at(one, (5, 1)), at(other, (5, 1)))


@pytest.mark.parametrize(
    ("compression", "order", "white"),
    [(1, "<", 0), (1, ">", 0), (1, ">", 1), (34925, "<", 0), (34925, "<", 1), (34925, ">", 1)],
)
def test_sixteen_bit_grey_has_its_brightness_in_any_storage(compression, order, white):
    rows = struct.pack(order + "H", 0x4000) * 64
    strip = rows if compression == 1 else lzma.compress(rows)

    _, picture = prepared(packed(order, strip, bits=16, photometric=white, compression=compression))

    assert like(at(picture, (4, 4)), ((0x40,) if white else (0xBF,)) * 3, 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("colours", [2, 3, 16, 256])
def test_a_tiff_palette_may_have_fewer_colours_than_indexes(colours, order):
    map_ = [*[0xDC00] * colours, *[0x1E00] * 2 * colours]

    _, picture = prepared(packed(order, bytes([1]) * 64, photometric=3, more={320: map_}))

    assert like(at(picture, (4, 4)), RED, 2)


def test_a_tiff_without_its_palette_is_refused():
    with pytest.raises(ImageDamagedError, match="palette is missing"):
        prepared(packed("<", bytes([1]) * 64, photometric=3))


def test_a_bigtiff_is_read_in_a_rare_compression():
    data = packed("<", lzma.compress(bytes(64)), photometric=1, compression=34925, big=True)

    assert at(prepared(data)[1], (4, 4)) == (0, 0, 0)


@pytest.mark.parametrize(
    "rare", [{"big": True, "photometric": 1}, {"bits": 16, "photometric": 0}], ids=str
)
def test_a_big_endian_tiff_that_no_decoder_reads_is_refused_as_that(rare):
    data = packed(">", lzma.compress(bytes(128)), compression=34925, **rare)

    with pytest.raises(UnsupportedImageTypeError, match="rare big-endian kind"):
        prepared(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (sample("raw.dng"), "raw picture, DNG"),
        (tiff([0], bits=8, photometric=32803, make=b"NIKON CORPORATION"), "raw picture, NEF"),
        (tiff([0], bits=8, photometric=1, compression=34713, make=b"NIKON"), "raw picture, NEF"),
        (tiff([0], bits=8, photometric=1, compression=32767, make=b"SONY"), "raw picture, ARW"),
        (tiff([0], bits=8, photometric=1, compression=65000, make=b"Kodak"), "raw picture, KDC"),
        (tiff([0], bits=8, photometric=34892), "raw picture"),
        (tiff([0], bits=8, photometric=2, subfile=1, make=b"PENTAX"), "raw picture, PEF"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "raw picture, CR2"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40), "raw picture, CR3"),
        (b"IIRO\x08\0\0\0" + bytes(40), "raw picture, ORF"),
        (tiff([0], bits=8, photometric=1, compression=34712), "JPEG 2000"),
        (tiff([0], bits=8, photometric=1, compression=34887), "LERC"),
        (tiff([0] * 3, bits=16, photometric=6), "YCbCr of 16 bits"),
        (tiff_of(4, samples=3, photometric=2), "3 samples a pixel of 4 bits"),
        (tiff([0], bits=16, photometric=3), "a palette of 16 bits"),
        (tiff([0] * 3, bits=8, photometric=6, planes=2), "YCbCr in separate planes"),
        (tiff([0] * 3, bits=8, photometric=6, subsampling=(2, 2)), "YCbCr subsampled"),
        (bmp_of_kind(bits=0, compression=4), "BMP of a kind"),
        (bmp_of_kind(bits=2), "BMP of a kind"),
        (bmp_of_kind(bits=16, masks=(0xF0F, 0xF0, 0xF)), "BMP of a kind"),
        (b"\0\0\3" + bytes(9) + b"\x08\0\x08\0\x08\0" + bytes(64), "a TGA picture"),
        (b"\0\1\1\0\0\0\1\x18" + bytes(4) + b"\x08\0\x08\0\x08\0" + bytes(64), "a TGA picture"),
        ("\ufeff<svg xmlns='http://www.w3.org/2000/svg'/>".encode("utf-16-le"), "an SVG drawing"),
        (tiff([0], bits=8, photometric=4), "transparency mask"),
        (tiff([0] * 4, bits=8, photometric=5, inks=2), "inks"),
        (b"P6\n2 2\n255\n" + bytes(12), "a PPM picture"),
        (b"P5 2 2 255\n" + bytes(4), "a PGM picture"),
        (b"qoif" + bytes(40), "a QOI picture"),
        (b"\x0a\5\1\x08" + bytes(140), "a PCX picture"),
        (b"\0\0\0\x10ftypmif3avif" + b"\0\0\0\x40mini" + bytes(60), "short form"),
        (b"%PDF-1.7\n", "document-qa"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x08\0\x08\1\1\x11\0", "JPEG-LS"),
    ],
)
def test_parameters_that_are_not_supported_are_refused_by_name(data, name):
    with pytest.raises(UnsupportedImageTypeError, match=name):
        prepare(ReceivedImage(data), LIMITS)


def test_an_uncompressed_heif_is_refused_by_name():
    data = encoded(corners(64, 64), "HEIF").replace(b"hvc1", b"unci")

    with pytest.raises(UnsupportedImageTypeError, match="uncompressed HEIF"):
        prepare(ReceivedImage(data), LIMITS)


# --- offsets and sizes of 64 bits ---------------------------------------------------------------

HUGE = [2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize("order", ["<", ">"])
def test_64_bit_offsets_in_a_bigtiff_give_a_typed_refusal(huge, order):
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16)
    first = mark + struct.pack(order + "HHHQ", 43, 8, 0, huge)
    many = head + struct.pack(order + "Q", huge)
    entries = [(256, 16, 1, 8), (257, 16, 1, 8), (258, 3, huge, huge), (273, 16, huge, huge)]
    table = struct.pack(order + "Q", len(entries)) + b"".join(
        struct.pack(order + "HHQQ", *entry) for entry in entries
    )

    for data in (
        first,
        many,
        head + table + struct.pack(order + "Q", huge),
        head + table + bytes(8),
    ):
        with pytest.raises(ImageError):
            prepare(ReceivedImage(data), LIMITS)


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize("name", [b"meta", b"moov", b"mdat", b"free"])
def test_64_bit_boxes_give_a_typed_refusal(huge, name):
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    data = head + struct.pack(">I4sQ", 1, name, huge) + bytes(64)

    with pytest.raises(ImageError):
        prepare(ReceivedImage(data), LIMITS)


def test_a_still_avif_is_read():
    _, picture = prepared(encoded(corners(64, 64), "AVIF"))

    assert_quarters(picture, by=12)
