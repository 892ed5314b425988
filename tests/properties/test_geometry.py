"""Boxes survive rotating, shrinking, cropping and padding."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from app.domain.image import ImageLimits, ReceivedImage
from app.services.geometry import Box, Size, View
from app.services.images.prepare import prepare

sides = st.integers(40, 3000)
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is stored for each EXIF orientation."""


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, right = sorted(draw(st.tuples(st.floats(0, 0.9), st.floats(0, 0.9))))
    top, bottom = sorted(draw(st.tuples(st.floats(0, 0.9), st.floats(0, 0.9))))
    return Box(left, top, right + 0.1, bottom + 0.1)


@given(boxes(), sides, sides, st.tuples(*[st.integers(1, 3000)] * 4))
def test_a_point_mapped_to_the_prepared_picture_and_back_is_unchanged(box, width, height, region):
    view = View(Size(width, height), region)
    back = view.to_original(shown(view, box))

    assert back == pytest.approx(box, abs=1e-6)


def shown(view: View, box: Box) -> Box:
    """Convert ``box`` from fractions of the original to fractions of the picture shown."""
    left, top, width, height = view.region
    return Box(
        (box.left * view.original.width - left) / width,
        (box.top * view.original.height - top) / height,
        (box.right * view.original.width - left) / width,
        (box.bottom * view.original.height - top) / height,
    )


@settings(max_examples=40)
@given(st.data(), st.integers(60, 1500), st.integers(60, 1500), st.sampled_from(list(TURNS)))
def test_boxes_on_the_prepared_picture_map_to_where_they_were_drawn(data, width, height, turn):
    left, top = data.draw(st.integers(0, width - 30)), data.draw(st.integers(0, height - 30))
    right = data.draw(st.integers(left + 25, width))
    bottom = data.draw(st.integers(top + 25, height))
    upright = Image.new("L", (width, height), 255)
    upright.paste(0, (left, top, right, bottom))

    report = prepare(ReceivedImage(stored(upright, turn)), ImageLimits(max_side=400))
    seen = dark(report.prepared.data)
    view = View.whole(report)
    found = view.to_original(seen)

    assert view.original == (width, height)

    # One pixel of the picture shown is this fraction of the original.
    pixel = max(1.0, width / report.prepared.width, height / report.prepared.height)
    assert (found.left * width, found.right * width) == pytest.approx((left, right), abs=pixel)
    assert (found.top * height, found.bottom * height) == pytest.approx((top, bottom), abs=pixel)


def stored(upright: Image.Image, orientation: int) -> bytes:
    method = TURNS[orientation]
    image = upright if method is None else upright.transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def dark(data: bytes) -> Box:
    image = Image.open(io.BytesIO(data)).convert("L").point(lambda v: 255 if v < 128 else 0)
    box = ImageChops.invert(image.point(lambda v: 255 - v)).getbbox()
    assert box is not None
    left, top, right, bottom = box
    return Box(left / image.width, top / image.height, right / image.width, bottom / image.height)
