"""Base64 in all its forms."""

import base64

import pytest

from app.domain.errors import ImageTooLargeError, InvalidBase64Error
from app.domain.image import Base64Image, ReceivedImage
from app.services.generation.image_sources import ImageSources, decode
from tests.support.fakes.ports import Arriving, FakeImageSource, plenty

DATA = bytes(range(256)) * 3
TEXT = base64.b64encode(DATA).decode()


def sources(max_bytes: int) -> ImageSources:
    return ImageSources(max_bytes, urls=FakeImageSource(), objects=FakeImageSource(), room=plenty())


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        (TEXT, None),
        (f"  {TEXT}\n", None),
        (f"data:image/png;base64,{TEXT}", "image/png"),
        (f"DATA:IMAGE/PNG;base64,{TEXT}", "image/png"),
        (f"data:image/png;charset=utf-8;base64,{TEXT}", "image/png"),
        (f"data:;base64,{TEXT}", None),
        ("\r\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)), None),
    ],
)
def test_base64_is_decoded_and_its_declared_type_kept(text, declared):
    assert decode(Base64Image(text)) == ReceivedImage(DATA, declared)


@pytest.mark.parametrize(
    "text", ["@", "abcde", "data:image/png,x", "data:image/png;base64", "a-+!"]
)
def test_invalid_base64_is_refused_with_its_path(text):
    with pytest.raises(InvalidBase64Error, match=r"^images\.2: is"):
        decode(Base64Image(text, name="images.2"))


async def test_base64_over_the_size_limit_is_refused_by_its_length_alone():
    with pytest.raises(ImageTooLargeError):
        await sources(100).fetch(Base64Image("@" * 4000), Arriving())


async def test_large_base64_is_decoded():
    big = bytes(1024 * 1024)

    received = await sources(2**21).fetch(Base64Image(base64.b64encode(big).decode()), Arriving())

    assert received.data == big


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("image/png", "image/png"),
        ("image/svg+xml", "image/svg+xml"),
        (" image/png; name=a.png ", "image/png"),
        ("image/*", "image/*"),
        ("", None),
        ("png", None),
        ("image/\ud800", None),
        ("image/\N{LATIN SMALL LETTER E WITH ACUTE}", None),
        ("image/p\nng", None),
        ("image/" + "x" * 128, None),
    ],
)
@pytest.mark.parametrize("kind", [ReceivedImage, lambda _, declared: Base64Image(TEXT, declared)])
async def test_a_declared_type_is_kept_only_if_it_is_a_media_type(kind, declared, kept):
    assert (await sources(1000).fetch(kind(DATA, declared), Arriving())).declared_type == kept


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("data:image/png;base64,aGk=", "image/png"),
        ("DATA:IMAGE/PNG;BASE64,aGk=", "image/png"),
        ("data:image/png;charset=utf-8;base64,aGk=", "image/png"),
        ("data:image/png;base64;name=a.png,aGk=", "image/png"),
        ('data:image/png;name="a,b.png";base64,aGk=', "image/png"),
        ("data:;base64,aGk=", None),
        ("aGk", None),
        (" a\nG\tk= ", None),
    ],
)
def test_base64_is_accepted_as_clients_write_it(text, kind):
    decoded = decode(Base64Image(text, None, "images.0"))

    assert (decoded.data, decoded.declared_type) == (b"hi", kind)


def test_a_character_outside_base64_is_named():
    with pytest.raises(InvalidBase64Error, match=r"it has the character '\\ufeff'"):
        decode(Base64Image("\ufeffaGk=", None, "images.0"))


def test_the_url_safe_alphabet_is_accepted():
    assert decode(Base64Image("-_-_", None, "images.0")).data == b"\xfb\xff\xbf"


@pytest.mark.parametrize(
    "text",
    [
        "data:" + "a" * 100_000,
        "data:" + "a" * 2_000 + ";base64,aGk=",
        "data:image/png,aGk=",
        "data:",
        "a",
        "@@@@",
        "ä" * 8,
    ],
)
def test_invalid_base64_is_refused(text):
    with pytest.raises(InvalidBase64Error):
        decode(Base64Image(text, None, "images.0"))
