"""The benchmark's requests suit each gateway, and each has a new picture."""

import base64
import json
from io import BytesIO
from itertools import islice

import pytest
from PIL import Image

from app.domain.image import ImageLimits, ReceivedImage, Treatment
from app.services.images.prepare import prepare
from bench import photos
from bench.peers import dialects
from bench.peers.workloads import PICTURES, PROMPT, WORKLOADS, Shape, Workload
from bench.photos import Picture
from fixtures.images import corners, encoded

DIALECTS = {
    "direct": dialects.direct(),
    "ours": dialects.ours("key"),
    "naive": dialects.naive(),
    "LiteLLM": dialects.chat("key", "llama-vision"),
}
PICTURE = Picture(encoded(corners(), "JPEG"))


def sent(dialect, workload, picture, number=1):
    """Return the heads and bodies of the first requests."""
    first = islice(dialect.requests(workload, picture), number)
    return [b"".join(request).split(b"\r\n\r\n", 1) for request in first]


def strings(value):
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda each: each.name)
def test_content_length_is_the_length_of_the_body(dialect, workload):
    (head, body), *_ = sent(dialect, workload, PICTURE if workload.picture else None)

    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_body_holds_the_prompt_and_the_whole_picture(dialect):
    ((_, body),) = sent(dialect, Workload("", "", 1, picture="100 KB"), PICTURE)

    found = list(strings(json.loads(body)))
    assert any(PROMPT in text for text in found)
    picture = base64.b64decode(max(found, key=len).rpartition(",")[2], validate=True)
    assert len(picture) == len(PICTURE.data)
    assert opened(picture) == opened(PICTURE.data)


def test_bedrock_which_takes_no_uploads_is_sent_the_same_picture_as_json():
    as_form, as_json = (
        sent(DIALECTS["direct"], Workload("", "", 1, shape, "100 KB"), PICTURE)
        for shape in (Shape.FORM, Shape.JSON)
    )

    assert as_form == as_json


@pytest.mark.parametrize("shape", [Shape.JSON, Shape.FORM])
def test_no_picture_is_sent_twice(shape):
    workload = Workload("", "", 1, shape, "100 KB")

    bodies = {body for _, body in sent(DIALECTS["ours"], workload, PICTURE, 1000)}

    assert len(bodies) == 1000


def test_a_numbered_picture_has_the_same_pixels_and_needs_no_preparation():
    pictures = [PICTURE.start(number) + PICTURE.data[21:] for number in (0, 70_000)]

    assert pictures[0] != pictures[1]
    assert opened(pictures[0]) == opened(pictures[1])
    report = prepare(ReceivedImage(pictures[1]), ImageLimits())
    assert report.treatment is Treatment.UNCHANGED


@pytest.mark.parametrize(("name", "size"), [("100 KB", 100_000), ("500 KB", 496_000)])
def test_pictures_that_fit_are_sent_unchanged(name, size):
    picture = PICTURES[name]()

    assert abs(len(picture.data) - size) < 0.03 * size
    assert prepare(ReceivedImage(picture.data), ImageLimits()).treatment is Treatment.UNCHANGED


def test_each_picture_that_fills_the_cache_needs_preparation_and_is_large_afterwards():
    report = prepare(ReceivedImage(photos.to_prepare().data), ImageLimits())

    assert report.treatment is Treatment.ENCODED
    assert len(report.prepared.data) > 500_000


def opened(data):
    return Image.open(BytesIO(data)).tobytes()
