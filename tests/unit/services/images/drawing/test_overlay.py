"""Overlays with boxes."""

import io
from xml.etree import ElementTree as ET

import pybase64
from PIL import Image, ImageColor

from app.services.geometry import Box, Size
from app.services.images.drawing.overlay import COLOURS, LONGEST_LABEL, Marked, png, svg

MARKS = [Marked("cat", Box(0.25, 0.5, 0.75, 1)), Marked('<dog> & "co"\n', Box(0, 0, 0.1, 0.1))]
SVG = "{http://www.w3.org/2000/svg}"


def layer(marks: list[Marked], size: Size) -> Image.Image:
    data = png(marks, size).removeprefix("data:image/png;base64,")
    return Image.open(io.BytesIO(pybase64.b64decode(data)))


def test_an_svg_has_each_box_in_the_originals_pixels_with_its_label():
    root = ET.fromstring(svg(MARKS, Size(400, 200)))

    assert root.get("viewBox") == "0 0 400 200"
    rect = root.find(f"{SVG}rect")
    assert rect is not None
    sides = [rect.get(name) for name in ("x", "y", "width", "height")]
    assert sides == ["100", "100", "200", "100"]
    assert [text.text for text in root.iter(f"{SVG}text")] == ["cat", '<dog> & "co" ']
    assert {element.tag for element in root} == {f"{SVG}rect", f"{SVG}text"}


def test_a_long_label_is_truncated():
    root = ET.fromstring(svg([Marked("x" * 500, Box(0, 0, 1, 1))], Size(10, 10)))

    (text,) = root.iter(f"{SVG}text")
    assert len(text.text or "") == LONGEST_LABEL


def test_a_png_is_transparent_except_for_the_marks():
    drawn = layer(MARKS[:1], Size(400, 200))

    assert drawn.size == (400, 200)
    assert drawn.getpixel((0, 0)) == (0, 0, 0, 0)
    assert drawn.getpixel((200, 150)) == (0, 0, 0, 0)
    assert drawn.getpixel((100, 150)) == (*ImageColor.getrgb(COLOURS[0]), 255)
    assert drawn.getpixel((299, 150)) == (*ImageColor.getrgb(COLOURS[0]), 255)


def test_a_png_of_a_large_original_is_smaller_with_boxes_in_place():
    drawn = layer(MARKS[:1], Size(8000, 4000))

    assert drawn.size == (1600, 800)
    assert drawn.getpixel((401, 600)) == (*ImageColor.getrgb(COLOURS[0]), 255)


def test_a_box_of_less_than_a_pixel_can_be_drawn():
    drawn = layer([Marked("dot", Box(0.5, 0.5, 0.5001, 0.5001))], Size(100, 100))

    assert drawn.getbbox() is not None
