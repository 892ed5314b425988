"""Any bytes give a picture within the contract or a typed refusal."""

from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.errors import ImageError
from app.domain.image import ImageLimits, ReceivedImage
from app.services.images.canvas import CANVASES, TILE, choose, fit, target
from app.services.images.prepare import prepare
from fixtures.images import corners, encoded, page, photo, sample, turned, with_gps
from tests.support.files.picture_judge import judge
from tests.support.files.tiff import chained, directory

LIMITS = ImageLimits(max_pixels=4_000_000, byte_budget=200_000)
KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]
sizes = st.integers(1, 20_000)


@cache
def originals() -> tuple[bytes, ...]:
    """Return small files of every type and of the kinds that may pass through undecoded."""
    return (
        *(encoded(photo(90, 60), kind) for kind in KINDS),
        encoded(photo(90, 60), "JPEG", progressive=True),
        encoded(photo(60, 40).convert("CMYK"), "JPEG"),
        encoded(page(200, 120, 14).convert("P")),
        encoded(corners(40, 30).convert("RGBA")),
        encoded(corners(40, 30), "GIF", save_all=True, append_images=[corners(40, 30).rotate(90)]),
        encoded(corners(40, 30), "PNG", save_all=True, append_images=[corners(40, 30).rotate(90)]),
        turned(6),
        with_gps(),
        encoded(photo(90, 60), "TIFF", big_tiff=True),
        encoded(photo(90, 60), "TIFF", compression="zstd"),
        chained([directory([9, 9, 9, 9], photometric=2, extras=[2], subfile=n) for n in (1, 0)]),
        sample("heic-sequence.heics"),
        sample("avif-sequence.avif"),
        sample("gif-frame-smaller-than-screen.gif"),
        sample("png-gama-1.0.png"),
    )


def settled(data: bytes) -> str:
    try:
        report = prepare(ReceivedImage(data), LIMITS)
    except ImageError as error:
        return error.code
    judge(report, LIMITS)
    return "prepared"


@given(st.binary(max_size=400))
@settings(max_examples=100)
def test_random_bytes_give_a_typed_refusal(data):
    assert settled(data) != "prepared"


@given(
    which=st.integers(0, 22),
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6),
)
@settings(max_examples=400)
def test_changed_bytes_give_a_valid_picture_or_a_typed_refusal(which, edits):
    data = bytearray(originals()[which])
    for place, value in edits:
        data[place % len(data)] = value

    assert settled(bytes(data))


@given(
    which=st.integers(0, 22),
    edits=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=3),
)
@settings(max_examples=400)
def test_changed_headers_give_a_valid_picture_or_a_typed_refusal(which, edits):
    data = bytearray(originals()[which])
    for place, value in edits:
        data[place % len(data)] = value

    assert settled(bytes(data))


@given(
    which=st.integers(0, 22),
    place=st.integers(0, 900),
    width=st.sampled_from([2, 4, 8]),
    value=st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]),
    rest=st.sampled_from([0, 0xFF]),
    order=st.sampled_from(["big", "little"]),
)
@settings(max_examples=600)
def test_any_sizes_and_offsets_give_a_valid_picture_or_a_typed_refusal(
    which, place, width, value, rest, order
):
    data = bytearray(originals()[which])
    number = bytes([value, *[rest] * (width - 1)])
    place %= len(data) - 8
    data[place : place + width] = number if order == "big" else number[::-1]

    assert settled(bytes(data))


@given(
    which=st.integers(0, 22),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    filling=st.binary(max_size=40),
)
@settings(max_examples=200)
def test_removed_or_inserted_bytes_give_a_valid_picture_or_a_typed_refusal(which, cut, filling):
    data = originals()[which]
    first, last = sorted(int(part * len(data)) for part in cut)

    assert settled(data[:first] + filling + data[last:])


@given(width=sizes, height=sizes)
@example(561, 560)
@example(1, 5_000)
def test_the_canvas_enlarges_least_or_otherwise_shrinks_least(width, height):
    def scale(canvas):
        return min(canvas.columns * TILE / width, canvas.rows * TILE / height)

    chosen, others = choose(width, height), [scale(canvas) for canvas in CANVASES]
    if scale(chosen) >= 1:
        assert scale(chosen) == min(other for other in others if other >= 1)
    else:
        assert scale(chosen) == max(others)
    assert all(c.tiles >= chosen.tiles for c in CANVASES if scale(c) == scale(chosen))


@given(width=sizes, height=sizes)
def test_fitting_stays_within_the_canvas_and_keeps_the_aspect_ratio(width, height):
    canvas = choose(width, height)
    fitted = fit(width, height, canvas)

    assert fitted[0] <= canvas.columns * TILE
    assert fitted[1] <= canvas.rows * TILE
    # Rounding down loses less than a pixel, and the reference's floats sometimes another.
    assert abs(fitted[0] * height - fitted[1] * width) < 2 * max(width, height)


@given(width=sizes, height=sizes, side=st.sampled_from([560, 1_120, 2_240]))
def test_the_target_is_never_larger_and_is_a_fixed_point(width, height, side):
    size = target(width, height, side)

    assert size[0] <= min(width, side)
    assert size[1] <= min(height, side)
    if min(size) > 0:
        assert max(target(*size, side)) == max(size)


@given(width=sizes, height=sizes)
def test_rotating_a_picture_rotates_its_target(width, height):
    assert target(height, width, 1_120) == target(width, height, 1_120)[::-1]
