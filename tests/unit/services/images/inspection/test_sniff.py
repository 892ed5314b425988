import pytest

from app.domain.errors import NotAnImageError, UnsupportedImageTypeError
from app.domain.image import ImageType
from app.services.images.inspection.foreign import FOREIGN
from app.services.images.inspection.sniff import sniff
from fixtures.images import encoded, photo, sample


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("JPEG", ImageType.JPEG),
        ("PNG", ImageType.PNG),
        ("WEBP", ImageType.WEBP),
        ("GIF", ImageType.GIF),
        ("BMP", ImageType.BMP),
        ("TIFF", ImageType.TIFF),
        ("HEIF", ImageType.HEIC),
        ("AVIF", ImageType.AVIF),
    ],
)
def test_each_accepted_type_is_recognised_by_its_bytes(kind, expected):
    assert sniff(encoded(photo(60, 40), kind)) is expected


def test_a_phones_heic_is_recognised_by_its_bytes():
    assert sniff(sample("arrow.heic")) is ImageType.HEIC


@pytest.mark.parametrize(("offset", "magic", "name"), FOREIGN)
def test_a_recognised_file_of_an_unsupported_type_is_refused_by_name(offset, magic, name):
    with pytest.raises(UnsupportedImageTypeError, match=name):
        sniff(bytes(offset) + magic + bytes(300))


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        (b"mif1\0\0\0\0mif1heic", ImageType.HEIC),
        (b"mif1\0\0\0\0mif1avif", ImageType.AVIF),
        (b"avif\0\0\0\0mif1heic", ImageType.AVIF),
        (b"msf1\0\0\0\0hevcmsf1", ImageType.HEIC),
    ],
)
def test_the_codecs_own_brand_distinguishes_heic_from_avif(brands, expected):
    box = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands

    assert sniff(box) is expected


@pytest.mark.parametrize("brand", [b"isom", b"mp42", b"qt  ", b"M4V "])
def test_a_video_in_the_same_container_as_heic_is_refused_as_a_video(brand):
    with pytest.raises(UnsupportedImageTypeError, match="video"):
        sniff(b"\0\0\0\x14ftyp" + brand + bytes(4) + brand)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"<svg/>", "SVG"),
        (b"\xef\xbb\xbf\n<?xml version='1.0'?><!-- x --><svg/>", "SVG"),
        (b"<!DOCTYPE HTML><body>", "HTML"),
        (b"<?xml version='1.0'?><note/>", "XML"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "XML"),
        (b"<head><title>404</title>", "HTML"),
    ],
)
def test_markup_is_recognised(text, name):
    with pytest.raises(UnsupportedImageTypeError, match=name):
        sniff(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"/9j/4AAQSkZJRgABAQEASABIAAD", "base64"),
        (b"iVBORw0KGgoAAAANSUhEUgAA", "base64"),
        (b"data:image/png;base64,iVBORw0KGgo=", "data URL"),
        (b'{"error": "not found"}', "JSON"),
        (b"[1, 2]", "JSON"),
        (b"https://example.com/a.png", "a URL"),
        (b"s3://bucket/a.png", "a URL"),
        (encoded(photo(60, 40)).replace(b"\r\n", b"\n"), "changed as if it were text"),
        (encoded(photo(60, 40)).decode("latin-1").encode(), "changed as if it were text"),
        (encoded(photo(60, 40)).decode(errors="replace").encode(), "changed as if it were text"),
        (encoded(photo(60, 40), "JPEG").decode("latin-1").encode(), "changed as if it were text"),
        (encoded(photo(60, 40), "JPEG").decode(errors="replace").encode(), "as if it were text"),
        (b"hello world", "text"),
        ("Grüße aus Köln, mit vielen Worten und Sätzen".encode(), "text"),
        (b"a;b;c\r\n1;2;3\r\n" * 9, "text"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_a_text_sent_as_a_picture_is_named_as_such(text, kind):
    with pytest.raises(NotAnImageError, match=kind):
        sniff(text)


@pytest.mark.parametrize("data", [b"", b"hello", bytes(500), b"\xff\xd8", b"RIFF1234WEB"])
def test_an_unknown_file_is_not_an_image(data):
    with pytest.raises(NotAnImageError):
        sniff(data)
