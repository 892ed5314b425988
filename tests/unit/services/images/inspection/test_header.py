import pytest

from app.domain.errors import ImageDamagedError, ImageTooLargeError
from app.domain.image import ImageLimits, ImageType
from app.services.images.inspection.header import facts
from fixtures.images import corners, encoded, gif, photo, sample, tiff_of_pages, turned

KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(90, 61), (64, 200)])
def test_the_size_is_read_from_the_header(kind, size):
    data = encoded(photo(*size), kind)

    found = facts(data)

    assert (found.width, found.height) == size
    assert found.bytes == len(data)
    assert found.frames == 1


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": True, "exact": True}])
def test_the_size_of_a_lossless_webp_is_read_from_the_header(options):
    found = facts(encoded(corners(77, 33).convert("RGBA"), "WEBP", **options))

    assert (found.width, found.height) == (77, 33)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_from_the_header(kind, orientation):
    assert facts(turned(orientation, kind)).orientation == orientation


def test_a_phones_rotated_heic_is_reported_as_stored_with_its_orientation():
    found = facts(sample("arrow.heic"))

    assert (found.width, found.height, found.orientation) == (4032, 3024, 6)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_frames_and_pages_are_counted(kind):
    frames = [corners(40, 30).rotate(90 * n) for n in range(3)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])

    assert facts(data).frames == 3


def test_a_file_of_exactly_the_allowed_frames_passes():
    assert facts(gif(1000)).frames == 1000
    assert facts(tiff_of_pages(1000)).frames == 1000


# Not GIF: its header is shorter than the shortest cut.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "GIF"])
def test_a_header_truncated_anywhere_is_refused_as_damaged_or_still_read(kind):
    data = encoded(photo(20, 20), kind)
    outcomes: set[ImageType | None] = set()
    for end in range(12, 200):
        try:
            outcomes.add(facts(data[:end]).media_type)
        except ImageDamagedError:
            outcomes.add(None)

    assert None in outcomes
    assert outcomes - {None} <= {ImageType(f"image/{kind.lower()}".replace("heif", "heic"))}


def test_the_byte_limit_is_inclusive():
    data = encoded(photo(20, 20))

    assert facts(data, ImageLimits(max_bytes=len(data))).bytes == len(data)
    with pytest.raises(ImageTooLargeError):
        facts(data, ImageLimits(max_bytes=len(data) - 1))
