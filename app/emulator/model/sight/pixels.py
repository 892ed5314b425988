"""Measures a picture's pixels; the same pixels always measure the same."""

import io
from dataclasses import dataclass

from PIL import Image, ImageFilter, ImageStat

from app.emulator.wire.bodies.conversation import Picture

_SAMPLE = 96  # Pixels a side: enough for colour shares, and cheap.
_PALETTE = {
    "black": (15, 15, 15),
    "grey": (128, 128, 128),
    "white": (245, 245, 245),
    "red": (205, 35, 40),
    "orange": (235, 130, 40),
    "yellow": (240, 220, 60),
    "green": (45, 140, 60),
    "cyan": (70, 190, 205),
    "blue": (45, 85, 190),
    "purple": (125, 60, 160),
    "pink": (240, 150, 180),
    "brown": (115, 75, 45),
}
COLOURS = tuple(_PALETTE)
"""The distinguished colours."""
_SIDES = ("top", "right", "bottom", "left")


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture's measured properties."""

    width: int
    height: int
    format: str
    colours: tuple[tuple[str, int], ...]
    """Names with their share in per cent, largest first."""
    brightness: int
    """Mean luma, 0 (black) to 255."""
    contrast: int
    """Standard deviation of luma."""
    sharpness: int
    """Standard deviation of the picture's edges, 0 when it is flat."""
    brightest_side: str
    """The lightest half: ``top``, ``right``, ``bottom`` or ``left``; ``none`` if alike."""
    fingerprint: str
    """A 64-bit difference hash as 16 hexadecimal digits; turning the picture changes it."""

    @property
    def orientation(self) -> str:
        """``landscape``, ``portrait`` or ``square``."""
        if self.width == self.height:
            return "square"
        return "landscape" if self.width > self.height else "portrait"

    @property
    def light(self) -> str:
        """``dark``, ``medium`` or ``light``."""
        if self.brightness < 85:
            return "dark"
        return "light" if self.brightness > 170 else "medium"

    @property
    def focus(self) -> str:
        """``sharp``, ``soft`` or ``flat``."""
        if self.sharpness < 4:
            return "flat"
        return "sharp" if self.sharpness > 25 else "soft"


def measured(picture: Picture) -> Pixels:
    """Decode a picture and describe it. Takes tens of milliseconds of CPU: use a thread.

    Raises `OSError` for a picture whose header is fine and whose pixels are not.
    """
    with Image.open(io.BytesIO(picture.data)) as opened:
        image = opaque(opened)
    grey = image.convert("L")
    luma = ImageStat.Stat(grey)
    return Pixels(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        colours=_colours(image),
        brightness=round(luma.mean[0]),
        contrast=round(luma.stddev[0]),
        sharpness=_sharpness(grey),
        brightest_side=_brightest_side(grey),
        fingerprint=_fingerprint(grey),
    )


def opaque(image: Image.Image) -> Image.Image:
    """Return the picture in RGB, on white where it was transparent."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        backed = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(backed, layer).convert("RGB")
    return image.convert("RGB")


def _colours(image: Image.Image) -> tuple[tuple[str, int], ...]:
    small = image.resize((_SAMPLE, _SAMPLE), Image.Resampling.BOX)
    palette = Image.new("P", (1, 1))
    # All 256 entries are filled: those left out would be colours of their own.
    levels = [level for colour in _PALETTE.values() for level in colour]
    palette.putpalette((levels * (256 // len(_PALETTE) + 1))[: 256 * 3])
    histogram = small.quantize(palette=palette, dither=Image.Dither.NONE).histogram()
    counts = [sum(histogram[index :: len(_PALETTE)]) for index in range(len(_PALETTE))]
    total = _SAMPLE * _SAMPLE
    shares = [(name, round(100 * n / total)) for name, n in zip(_PALETTE, counts, strict=True)]
    return tuple(sorted((s for s in shares if s[1] > 0), key=lambda s: (-s[1], s[0])))


def _sharpness(grey: Image.Image) -> int:
    if min(grey.size) < 3:
        return 0
    # The filter leaves the outermost pixels as they were, which would be measured as an edge.
    inside = (1, 1, grey.width - 1, grey.height - 1)
    edges = grey.filter(ImageFilter.FIND_EDGES).crop(inside)
    return round(ImageStat.Stat(edges).stddev[0])


def _brightest_side(grey: Image.Image) -> str:
    small = grey.resize((_SAMPLE, _SAMPLE), Image.Resampling.BOX)
    half = _SAMPLE // 2
    boxes = (
        (0, 0, _SAMPLE, half),
        (half, 0, _SAMPLE, _SAMPLE),
        (0, half, _SAMPLE, _SAMPLE),
        (0, 0, half, _SAMPLE),
    )
    means = [ImageStat.Stat(small.crop(box)).mean[0] for box in boxes]
    brightest = max(range(4), key=means.__getitem__)
    return _SIDES[brightest] if max(means) - min(means) >= 2 else "none"


def _fingerprint(grey: Image.Image) -> str:
    small = grey.resize((9, 8), Image.Resampling.BOX)
    rows = [small.crop((0, y, 9, y + 1)).tobytes() for y in range(8)]
    bits = "".join("1" if row[x] > row[x + 1] else "0" for row in rows for x in range(8))
    return f"{int(bits, 2):016x}"
