from io import BytesIO

import pytest
from PIL import Image, ImageCms, ImageStat
from PIL.PngImagePlugin import PngInfo

from app.domain.errors import ImageError, ImageOverBudgetError
from app.domain.image import ImageLimits, ImageReport, ImageType, ReceivedImage, Treatment
from app.services.images.codecs.decode import decode
from app.services.images.codecs.libwebp import MOST_PIXELS
from app.services.images.inspection.header import inspect
from app.services.images.prepare import prepare
from fixtures.images import (
    BLUE,
    GREEN,
    HOSTILE,
    RED,
    YELLOW,
    Hostile,
    corners,
    encoded,
    gnawed,
    page,
    photo,
    sample,
    tiff_of,
    turned,
    with_gps,
)
from fixtures.similarity import similarity
from tests.support.files.picture_judge import judge

LIMITS = ImageLimits()


def made(data: bytes, declared: str | None = None, limits: ImageLimits = LIMITS) -> ImageReport:
    return prepare(ReceivedImage(data, declared), limits)


def close(pixel, colour, tolerance=12):
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


def text_chunk(text: str) -> PngInfo:
    info = PngInfo()
    info.add_text("Comment", text)
    return info


def quarters(report: ImageReport):
    picture = judge(report, LIMITS).convert("RGB")
    w, h = picture.size
    places = [
        (w // 4, h // 4),
        (3 * w // 4, h // 4),
        (w // 4, 3 * h // 4),
        (3 * w // 4, 3 * h // 4),
    ]
    return picture.size, [picture.getpixel(place) for place in places]


# --- what comes in ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("HEIF", {}),
        ("AVIF", {"quality": 95}),
    ],
)
@pytest.mark.parametrize("size", [(320, 200), (1280, 800)])
def test_each_accepted_type_becomes_the_same_picture_within_the_contract(kind, options, size):
    shape, pixels = quarters(made(encoded(corners(*size), kind, **options)))

    assert shape == (min(size[0], 1120), min(size[1], 700))
    for pixel, colour in zip(pixels, [RED, GREEN, BLUE, YELLOW], strict=True):
        assert close(pixel, colour)


@pytest.mark.parametrize(
    "name", ["arrow.heic", "exif-Landscape_1.jpg", "exif-Landscape_6.jpg", "exif-Portrait_8.jpg"]
)
def test_real_phone_pictures_become_upright_and_meet_the_contract(name):
    report = made(sample(name))

    picture = judge(report, LIMITS)
    assert (picture.height > picture.width) == (name in {"arrow.heic", "exif-Portrait_8.jpg"})
    assert report.treatment is Treatment.ENCODED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_made_upright(kind, orientation):
    shape, pixels = quarters(made(turned(orientation, kind)))

    assert shape == (320, 200)
    for pixel, colour in zip(pixels, [RED, GREEN, BLUE, YELLOW], strict=True):
        assert close(pixel, colour, 40)


def test_two_rotations_of_one_scene_give_the_same_picture():
    upright = judge(made(sample("exif-Landscape_1.jpg")), LIMITS)
    turned_back = judge(made(sample("exif-Landscape_6.jpg")), LIMITS)

    assert upright.size == turned_back.size == (1120, 746)
    small = [picture.resize((8, 8)).convert("L").tobytes() for picture in (upright, turned_back)]
    assert max(abs(a - b) for a, b in zip(*small, strict=True)) < 24


# --- colour -----------------------------------------------------------------------------


def test_transparency_is_composited_on_white():
    picture = corners().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 160, 200))
    for kind in ("PNG", "WEBP", "AVIF"):
        _, pixels = quarters(made(encoded(picture, kind)))
        assert close(pixels[0], (255, 255, 255))
        assert close(pixels[1], GREEN, 40)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_transparent_pixels_leave_no_seam_when_shrunk(kind, options):
    picture = Image.new("RGBA", (3600, 1200), (0, 0, 0, 0))
    picture.paste((255, 255, 255, 255), (0, 0, 1801, 1200))

    report = made(encoded(picture, kind, **options))

    with Image.open(BytesIO(report.prepared.data)) as shown:
        # Rounding may cost one level.
        assert shown.convert("L").histogram()[:254] == [0] * 254


@pytest.mark.parametrize("exact", [{"lossless": True}, {"quality": 100}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_is_read_like_the_png_it_was_made_from(exact, mode):
    picture = photo(400, 300).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize((400, 300)))

    _, pixels = quarters(made(encoded(picture, "WEBP", **exact)))
    _, wanted = quarters(made(encoded(picture, "PNG")))

    for pixel, colour in zip(pixels, wanted, strict=True):
        assert close(pixel, colour)


def test_a_webp_too_large_for_memory_is_shrunk_while_it_is_decoded():
    width, height = 16_000, MOST_PIXELS // 16_000 + 100
    large = Image.new("RGB", (width, height), RED)
    large.paste(BLUE, (width // 2, 0, width, height))

    report = made(encoded(large, "WEBP", lossless=True, method=0, quality=0))

    assert report.scale == 1120 / width
    _, pixels = quarters(report)
    assert close(pixels[0], RED)
    assert close(pixels[1], BLUE)


def test_a_transparent_palette_entry_is_composited_on_white():
    picture = corners().quantize(8)
    index = picture.getpixel((0, 0))
    _, pixels = quarters(made(encoded(picture, "PNG", transparency=index)))

    assert close(pixels[0], (255, 255, 255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("size", [(256, 64), (2560, 64)])
def test_sixteen_bits_are_scaled_and_not_clipped(kind, size):
    ramp = Image.new("I;16", size)
    width, height = size
    row = b"".join((x * 65_535 // (width - 1)).to_bytes(2, "little") for x in range(width))
    ramp.frombytes(row * height)

    picture = judge(made(encoded(ramp, kind)), LIMITS).convert("L")

    row = picture.crop((0, picture.height // 2, picture.width, picture.height // 2 + 1)).tobytes()
    middle = [row[picture.width * n // 8] for n in range(1, 8)]
    assert all(abs(found - 255 * n // 8) <= 3 for n, found in enumerate(middle, 1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("kind", [1, 4])
def test_unsigned_tiff_samples_of_every_depth_are_accepted(bits, kind):
    assert judge(made(tiff_of(bits, kind)), LIMITS).convert("L").getextrema() == (0, 0)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiffs_depth_is_read_if_it_is_given_per_sample(bits):
    picture = judge(made(tiff_of(bits, samples=3, photometric=2)), LIMITS)

    assert picture.convert("L").getextrema() == (0, 0)


def test_a_cmyk_jpeg_keeps_its_colours():
    _, pixels = quarters(made(encoded(corners().convert("CMYK"), "JPEG", quality=95)))

    # Without a press profile only the hue is defined, not the exact shade.
    for pixel, strongest in zip(pixels[:3], (0, 1, 2), strict=True):
        assert max(range(3), key=pixel.__getitem__) == strongest


def test_a_foreign_colour_profile_is_converted_to_srgb():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    profile = ImageCms.ImageCmsProfile(srgb).tobytes()
    # The profile swaps red and blue: stored red has to become blue.
    swapped = bytearray(profile)
    for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        name = bytes(swapped[at : at + 4])
        if name in {b"rXYZ", b"bXYZ"}:
            swapped[at : at + 4] = b"bXYZ" if name == b"rXYZ" else b"rXYZ"
    foreign = bytes(swapped).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    assert foreign != profile
    assert lab is not None

    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        report = made(encoded(corners(), kind, icc_profile=foreign))
        _, pixels = quarters(report)
        assert report.treatment is Treatment.ENCODED
        assert max(range(3), key=pixels[0].__getitem__) == 2, kind


@pytest.mark.parametrize("size", [(320, 200), (1400, 900)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_colour_profile_is_ignored(mode, size):
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for broken in (b"garbage" * 30, whole[:128] + bytes(300), whole.replace(b"RGB ", b"CMYK")):
        data = encoded(corners(*size).convert(mode), "JPEG", icc_profile=broken)

        report = made(data)

        shape, pixels = quarters(report)
        assert shape[0] == min(size[0], 1120)
        assert mode != "RGB" or close(pixels[0], RED)


def test_an_srgb_profile_is_dropped_without_decoding():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("JPEG", "PNG"):
        report = made(encoded(corners(), kind, icc_profile=profile))
        judge(report, LIMITS)
        assert report.treatment is Treatment.STRIPPED


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette_pictures_are_kept_as_they_are(mode):
    data = encoded(page(400, 300, 16).convert(mode))

    report = made(data)

    assert report.prepared.data == data
    judge(report, LIMITS)


# --- going through undecoded ------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("PNG", {}),
    ],
)
def test_a_picture_that_fits_in_every_respect_passes_through_byte_for_byte(kind, options):
    data = encoded(photo(1120, 746), kind, **options)

    report = made(data, f"image/{kind.lower()}")

    assert report.prepared.data == data
    assert report.treatment is Treatment.UNCHANGED
    assert report.scale == 1
    assert report.warnings == ()
    judge(report, LIMITS)


def test_metadata_is_removed_without_changing_a_pixel():
    report = made(with_gps())

    assert b"SECRET" not in report.prepared.data
    assert report.treatment is Treatment.STRIPPED
    with Image.open(BytesIO(with_gps())) as before:
        assert judge(report, LIMITS).tobytes() == before.tobytes()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_no_metadata_survives_in_any_type(kind):
    exif = Image.Exif()
    exif[0x010F] = "SECRET-CAMERA"
    data = encoded(photo(), kind, exif=exif)
    assert b"SECRET" in data

    assert b"SECRET" not in made(data).prepared.data


def test_a_pngs_texts_and_trailing_data_are_removed():
    report = made(sample("astronaut.png") + b"PK\x03\x04 hidden")

    assert report.treatment is Treatment.STRIPPED
    assert b"hidden" not in report.prepared.data
    judge(report, LIMITS)


def test_bytes_after_a_jpeg_are_removed():
    data = encoded(photo(), "JPEG")

    report = made(data + b"PK\x03\x04 hidden")

    assert report.prepared.data == data


@pytest.mark.parametrize("at", [200, 1000, 5000])
def test_a_png_with_a_flipped_bit_is_never_passed_on_undetected(at):
    data = bytearray(encoded(photo(200, 100)))
    data[at] ^= 4

    try:
        report = made(bytes(data))
    except ImageError:
        return
    assert report.treatment is Treatment.ENCODED


# --- size and budget --------------------------------------------------------------------


def test_no_picture_is_enlarged():
    report = made(encoded(photo(33, 20), "WEBP"))

    assert (report.prepared.width, report.prepared.height, report.scale) == (33, 20, 1)


@pytest.mark.parametrize("budget", [200_000, 100_000, 20_000, 8_000])
def test_the_byte_budget_is_met_by_lowering_quality_first_and_size_last(budget):
    limits = ImageLimits(byte_budget=budget)
    report = made(encoded(photo(1800, 1200)), limits=limits)

    judge(report, limits)
    assert (report.prepared.width == 1120) == (budget > 20_000)


def test_a_picture_that_only_exceeds_the_byte_budget_is_encoded_again():
    data = encoded(photo(1000, 700), "JPEG", quality=98)
    limits = ImageLimits(byte_budget=len(data) - 1)

    report = made(data, limits=limits)

    judge(report, limits)
    assert report.treatment is Treatment.ENCODED


def test_text_chunks_never_reach_the_png_decoder():
    data = encoded(photo(1200, 800), pnginfo=text_chunk("SECRET"))
    facts = inspect(data, LIMITS).facts

    fields = decode(data, facts, (1120, 746)).get_fields()

    assert b"SECRET" in data
    assert not [field for field in fields if field.startswith("png-comment")]


def test_a_budget_that_cannot_be_met_is_refused_naming_both_sizes():
    with pytest.raises(ImageOverBudgetError, match=r"needs \d+ bytes .* budget is 500 bytes"):
        made(encoded(photo(1800, 1200)), limits=ImageLimits(byte_budget=500))


def test_the_same_picture_gives_the_same_bytes():
    for data in (encoded(photo(1800, 1200), "JPEG"), encoded(page(1600, 2000, 24))):
        assert made(data).prepared.data == made(data).prepared.data


def test_text_becomes_png_and_photographs_become_jpeg():
    assert made(encoded(page(1600, 2000, 24))).prepared.media_type is ImageType.PNG
    assert made(encoded(page(1600, 2000, 24), "JPEG")).prepared.media_type is ImageType.PNG
    assert made(encoded(photo(1800, 1200))).prepared.media_type is ImageType.JPEG


def test_grey_text_is_stored_with_one_sample_per_pixel():
    black, red = page(64, 48, 16), page(64, 48, 16).copy()
    red.paste((255, 0, 0), (63, 47, 64, 48))

    modes = [judge(made(encoded(each, "TIFF")), LIMITS).mode for each in (black, red)]

    assert modes == ["L", "RGB"]


def test_text_that_is_too_large_as_png_becomes_jpeg():
    limits = ImageLimits(byte_budget=300_000)
    report = made(encoded(page(1600, 2000, 24)), limits=limits)

    assert report.prepared.media_type is ImageType.JPEG
    judge(report, limits)


def test_scaled_text_keeps_its_contrast():
    picture = judge(made(encoded(page(2480, 3508, 44))), LIMITS).convert("L")

    pixels = picture.tobytes()
    assert min(pixels) < 30
    assert max(pixels) == 255
    assert ImageStat.Stat(picture).stddev[0] > 60


def test_shrinking_while_decoding_looks_like_a_full_decode():
    large = photo(4032, 3024)
    naive = encoded(large.resize((1120, 840), Image.Resampling.LANCZOS), "JPEG", quality=90)

    report = made(encoded(large, "JPEG", quality=92))

    assert similarity(naive, report.prepared.data) >= 0.98


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_scaled_text_is_not_damaged(kind, options):
    large = page(2480, 3508, 44)
    naive = encoded(large.resize((791, 1120), Image.Resampling.LANCZOS))
    # The cheap way, reducing by whole factors first, falls short of this.
    cheap = encoded(large.resize((791, 1120), Image.Resampling.BILINEAR, reducing_gap=1.0))

    prepared = made(encoded(large, kind, **options)).prepared.data

    assert similarity(naive, prepared) >= 0.99
    assert similarity(naive, cheap) < 0.99


# --- what the caller is told ------------------------------------------------------------


def codes(report: ImageReport) -> list[str]:
    return [warning.code for warning in report.warnings]


@pytest.mark.parametrize(
    "declared", [None, "image/jpeg", "image/jpg", "IMAGE/JPEG; q=1", "application/octet-stream"]
)
def test_a_correct_or_missing_declared_type_has_no_warning(declared):
    assert codes(made(encoded(photo(60, 40), "JPEG"), declared)) == []


def test_a_wrong_declared_type_is_corrected_with_a_warning():
    report = made(encoded(photo(60, 40), "JPEG"), "image/png")

    assert report.prepared.media_type is ImageType.JPEG
    assert codes(report) == ["declared_type_corrected"]


@pytest.mark.parametrize(
    ("kind", "code"), [("GIF", "first_frame_only"), ("TIFF", "first_page_only")]
)
def test_only_the_first_of_several_frames_is_used_with_a_warning(kind, code):
    data = encoded(corners(), kind, save_all=True, append_images=[corners().rotate(180)])

    report = made(data)

    assert codes(report) == [code]
    assert close(quarters(report)[1][0], RED, 40)


def test_scaling_that_endangers_small_text_is_reported_with_the_legible_height():
    report = made(encoded(photo(4480, 2000), "JPEG"))

    assert report.scale == 0.25
    assert codes(report) == ["small_text_illegible"]
    assert "less than 40 pixels" in report.warnings[0].message


def test_a_long_strip_has_a_warning_of_lost_detail():
    assert codes(made(encoded(page(3000, 400, 30)))) == [
        "small_text_illegible",
        "extreme_aspect_ratio",
    ]


def test_the_report_describes_the_input_and_the_result():
    report = made(sample("exif-Portrait_8.jpg"), "image/jpeg")

    assert report.received.media_type is ImageType.JPEG
    assert (report.received.width, report.received.height) == (1800, 1200)
    assert report.received.orientation == 8
    assert (report.prepared.width, report.prepared.height) == (746, 1120)
    assert report.canvas.tiles == 4
    assert report.scale == pytest.approx(1120 / 1800)


# --- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_file_is_refused_with_its_own_code(hostile: Hostile):
    with pytest.raises(ImageError) as caught:
        made(hostile.make())

    assert caught.value.code == hostile.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"])
def test_half_a_large_picture_is_refused_as_damaged(kind):
    with pytest.raises(ImageError) as caught:
        made(gnawed(encoded(photo(800, 500), kind)))

    assert caught.value.code == "image_damaged"
