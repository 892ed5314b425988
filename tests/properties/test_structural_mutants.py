"""Mutated files that pass undecoded are opened by strict decoders.

``MUTANTS=20000 pytest tests/properties/test_structural_mutants.py`` tries more of them.
"""

import os
from collections.abc import Callable
from io import BytesIO
from random import Random

import pytest
import pyvips
from PIL import Image

from app.domain.errors import ImageError
from app.domain.image import ImageLimits, ReceivedImage
from app.services.images.inspection.header import inspect
from app.services.images.prepare import prepare_undecoded
from tests.support.files import mutants

LIMITS = ImageLimits()
COUNT = int(os.environ.get("MUTANTS", "1500")) // 2


def pillow_opens(data: bytes) -> bool:
    try:
        with Image.open(BytesIO(data)) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def libvips_opens(data: bytes) -> bool:
    png = data.startswith(mutants.PNG_MARK)
    load = pyvips.Image.pngload_buffer if png else pyvips.Image.jpegload_buffer
    try:
        load(data, fail_on="warning").avg()
    except pyvips.Error:
        return False
    return True


def pixels(data: bytes) -> bytes:
    with Image.open(BytesIO(data)) as picture:
        return picture.convert("RGB").tobytes()


def passed(data: bytes) -> bytes | None:
    try:
        report = prepare_undecoded(ReceivedImage(data), inspect(data, LIMITS), LIMITS)
    except ImageError:
        return None
    return None if report is None else report.prepared.data


@pytest.mark.parametrize(
    ("originals", "mutant"),
    [(mutants.pngs, mutants.png_mutant), (mutants.jpegs, mutants.jpeg_mutant)],
    ids=["png", "jpeg"],
)
def test_no_mutant_passes_that_both_strict_decoders_refuse_or_with_other_pixels(
    originals: Callable[[], list[bytes]], mutant: Callable[[bytes, Random], bytes]
):
    random, seeds, count = Random(7), originals(), 0
    for number in range(COUNT):
        data = mutant(random.choice(seeds), random)
        result = passed(data)
        if result is not None:
            count += 1
            for each in (data, result):
                assert pillow_opens(each) or libvips_opens(each), (number, each)
            if result is not data and pillow_opens(data):
                assert pixels(result) == pixels(data), (number, data)

    # Many mutations are harmless: if none passed, the test would prove nothing.
    assert count > COUNT // 20
