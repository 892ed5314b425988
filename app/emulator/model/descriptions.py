"""Descriptions of a picture's appearance, as a sentence or as single words."""

from app.emulator.model.sight.pixels import Pixels

_NOTABLE = 10  # Per cent of the picture that a colour must fill to be named.


def sentence(pixels: Pixels | None) -> str:
    """Return one short sentence, empty for no picture."""
    if pixels is None:
        return ""
    return (
        f"A {pixels.light} {pixels.orientation} picture, {pixels.focus},"
        f" mostly {' and '.join(name for name, _ in pixels.colours[:2])}."
    )


def tags(pixels: Pixels | None) -> list[str]:
    """Return words for a picture, its colours first."""
    if pixels is None:
        return []
    colours = [name for name, share in pixels.colours if share >= _NOTABLE]
    return [*colours, pixels.orientation, pixels.light, pixels.focus]


def words(pixels: Pixels | None) -> list[str]:
    """Return every word that describes a picture."""
    return [*tags(pixels), pixels.format] if pixels is not None else []


def details(pixels: Pixels) -> str:
    """Return a full description, enough to tell one picture from another."""
    colours = ", ".join(f"{name} {share}%" for name, share in pixels.colours[:3])
    side = (
        "evenly lit"
        if pixels.brightest_side == "none"
        else f"lightest at the {pixels.brightest_side}"
    )
    return (
        f"a {pixels.orientation} {pixels.format} picture of {pixels.width}x{pixels.height} pixels,"
        f" {pixels.light} (brightness {pixels.brightness} of 255, contrast {pixels.contrast}),"
        f" {pixels.focus} (sharpness {pixels.sharpness}), {side}. Its colours: {colours}."
        f" Fingerprint {pixels.fingerprint}."
    )
