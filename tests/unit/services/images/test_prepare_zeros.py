"""Files that an interrupted transfer filled with other bytes, and files with genuine ones."""

from io import BytesIO

import pytest
from PIL import Image

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage, Treatment
from app.services.images.prepare import prepare
from fixtures.images import corners, encoded, page, photo, sample
from tests.support.files import heif

LIMITS = ImageLimits()
BLACK, WHITE, GREY = ((value,) * 3 for value in (0, 255, 128))


def prepared(data: bytes) -> ImageReport:
    return prepare(ReceivedImage(data), LIMITS)


def codes(data: bytes) -> list[str]:
    return [warning.code for warning in prepared(data).warnings]


def zeros_from(data: bytes, share: float) -> bytes:
    kept = data[: int(share * len(data))]
    return kept + bytes(len(data) - len(kept))


def half_strips(compression: str) -> bytes:
    """Return a compressed TIFF with an intact directory and a half-zeroed single strip."""
    data = bytearray(
        encoded(photo(), "TIFF", compression=compression, tiffinfo={278: photo().height})
    )
    with Image.open(BytesIO(data)) as picture:
        (place,), (size,) = picture.tag_v2[273], picture.tag_v2[279]  # type: ignore[attr-defined]
    data[place + size // 2 : place + size] = bytes(size - size // 2)
    return bytes(data)


@pytest.mark.parametrize("share", [0.3, 0.45])
@pytest.mark.parametrize(
    "data",
    [
        encoded(photo(), "JPEG"),
        encoded(photo(), "JPEG", optimize=True, subsampling=0),
        encoded(photo()),
        encoded(photo(), "GIF"),
        encoded(photo(), "WEBP"),
        encoded(photo(), "WEBP", lossless=True),
        encoded(photo().convert("RGBA"), "WEBP"),
        encoded(photo(), "HEIF"),
        encoded(photo(), "AVIF"),
        sample("arrow.heic"),
        sample("heic-sequence.heics"),
    ],
    ids=[
        *("jpeg", "jpeg 4:4:4", "png", "gif", "webp", "lossless webp", "transparent webp"),
        *("heic", "avif", "tiled heic", "heic sequence"),
    ],
)
def test_a_picture_that_is_mostly_zeros_is_refused_as_damaged(data, share):
    with pytest.raises(ImageDamagedError):
        prepared(zeros_from(data, share))


@pytest.mark.parametrize("fill", [b"\xff", b" ", b"\xaa", b"\xde\xad\xbe\xef", b"<p>502</p>\r\n"])
@pytest.mark.parametrize(
    "data",
    [
        encoded(photo(), "JPEG", quality=90),
        encoded(photo(), "JPEG", optimize=True, subsampling=0),
        encoded(photo(), "WEBP", quality=90),
        encoded(photo(), "HEIF"),
        encoded(photo(), "AVIF"),
        sample("arrow.heic"),
    ],
    ids=["jpeg", "jpeg 4:4:4", "webp", "heic", "avif", "tiled heic"],
)
def test_a_picture_that_is_half_a_repeated_pattern_is_refused_as_damaged(data, fill):
    half = len(data) // 2
    padded = data[:half] + (fill * half)[: len(data) - half]

    with pytest.raises(ImageDamagedError):
        prepared(padded)


@pytest.mark.parametrize("share", [0.1, 0.4])
@pytest.mark.parametrize("size", [(600, 400), (1600, 1200)])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_zeros_amid_a_jpeg_are_reported_with_the_share_that_is_there(options, size, share):
    data = encoded(photo(*size), "JPEG", quality=90, **options)
    gap = int(share * len(data))
    middle = len(data) // 2
    holed = data[:middle] + bytes(gap) + data[middle + gap :]

    if share > 0.25:
        with pytest.raises(ImageDamagedError):
            prepared(holed)
    else:
        report = prepared(holed)
        assert report.treatment is Treatment.ENCODED
        assert [w.code for w in report.warnings if w.code != "small_text_illegible"] == [
            "image_incomplete"
        ]


def test_a_tile_of_an_avif_that_is_padded_is_missed():
    tile = encoded(photo(128, 128), "AVIF")
    whole = heif.grid(tile, padded=0)
    padded = heif.grid(tile, padded=len(tile) // 3)

    assert codes(whole) == []
    with pytest.raises(ImageDamagedError, match="data for only"):
        prepared(padded)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_a_compressed_tiff_that_is_mostly_zeros_is_refused_with_the_share(compression):
    with pytest.raises(ImageDamagedError, match="only 50% of it"):
        prepared(half_strips(compression))


def test_the_rows_of_a_jpeg_are_counted_up_to_its_zeros():
    data = encoded(photo(), "JPEG", quality=95)

    with pytest.raises(ImageDamagedError, match=r"only [34]\d% of its rows"):
        prepared(zeros_from(data, 0.4)[:-2] + b"\xff\xd9")


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\xde\xad\xbe\xef"])
def test_uncompressed_rows_that_end_in_mid_row_have_a_warning(kind, mode, fill):
    data = encoded(photo().convert(mode), kind)
    kept = data[: int(0.401 * len(data))]

    (warning,) = prepared((kept + fill * len(data))[: len(data)]).warnings

    assert warning.code == "image_incomplete"
    assert "40% of the picture's rows" in warning.message


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
@pytest.mark.parametrize("turned", [False, True])
def test_halves_of_one_colour_of_uncompressed_pictures_are_genuine(kind, turned):
    for colour in (BLACK, WHITE, (37, 99, 200)):
        picture = Image.new("RGB", (300, 200), colour)
        picture.paste(photo(300, 80))
        if turned:
            picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)

        assert codes(encoded(picture, kind)) == []
        assert codes(encoded(Image.new("RGB", (300, 200), colour), kind)) == []


@pytest.mark.parametrize("colour", [BLACK, WHITE, GREY, (200, 30, 30)])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"optimize": True}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"quality": 100}),
        ("WEBP", {"lossless": True}),
        ("HEIF", {}),
        ("AVIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "packbits"}),
    ],
)
def test_repetitions_in_flat_pictures_are_genuine(kind, options, colour):
    size = (200, 160) if kind in {"HEIF", "AVIF"} else (1100, 900)
    picture = Image.new("RGB", size, colour)
    assert codes(encoded(picture, kind, **options)) == []

    picture.paste(photo(size[0], size[1] // 4))
    assert codes(encoded(picture, kind, **options)) == []


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 7}],
    ids=["baseline", "optimized", "progressive", "restarts"],
)
@pytest.mark.parametrize("size", [(689, 60), (726, 700), (352, 873), (2835, 141), (2571, 1038)])
def test_a_jpeg_that_is_empty_below_a_box_is_whole(size, options, mode):
    picture = Image.new(mode, size, "white")
    picture.paste("black", (0, 0, 25, 25))

    for quality in (30, 75, 95):
        seen = codes(encoded(picture, "JPEG", quality=quality, **options))
        assert "image_incomplete" not in seen


def test_a_jpeg_of_genuine_zeros_without_its_end_is_repaired():
    data = encoded(Image.new("RGB", (1100, 900), GREY), "JPEG", optimize=True)
    assert data.endswith(bytes(64), 0, -3)

    assert codes(data[:-2]) == ["image_repaired"]


@pytest.mark.parametrize("kind", ["WEBP", "HEIF", "AVIF", "PNG", "GIF", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize(
    "more",
    [bytes(200_000), b"\xff" * 3_000, encoded(page(90, 60, 14), "JPEG"), b'{"a": "text"}' * 99],
    ids=["zeros", "ones", "jpeg", "text"],
)
def test_data_after_a_picture_is_ignored(kind, more):
    data = encoded(corners(), kind)

    assert codes(data + more) == []
