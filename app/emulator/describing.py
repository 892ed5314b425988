"""A picture's looks, told in a sentence or in single words."""

from app.emulator.sight import Sight

_NOTABLE = 10  # Per cent of the picture that a colour must fill to be named.


def sentence(sight: Sight | None) -> str:
    """Return one short sentence, empty for no picture."""
    if sight is None:
        return ""
    return (
        f"A {sight.light} {sight.orientation} picture, {sight.focus},"
        f" mostly {' and '.join(name for name, _ in sight.colours[:2])}."
    )


def tags(sight: Sight | None) -> list[str]:
    """Return words for a picture, its colours first."""
    if sight is None:
        return []
    colours = [name for name, share in sight.colours if share >= _NOTABLE]
    return [*colours, sight.orientation, sight.light, sight.focus]


def words(sight: Sight | None) -> list[str]:
    """Return every word that describes a picture."""
    return [*tags(sight), sight.format] if sight is not None else []


def told(sight: Sight) -> str:
    """Return all that is seen, enough to tell one picture from another."""
    colours = ", ".join(f"{name} {share}%" for name, share in sight.colours[:3])
    side = (
        "evenly lit"
        if sight.brightest_side == "none"
        else f"lightest at the {sight.brightest_side}"
    )
    return (
        f"a {sight.orientation} {sight.format} picture of {sight.width}x{sight.height} pixels,"
        f" {sight.light} (brightness {sight.brightness} of 255, contrast {sight.contrast}),"
        f" {sight.focus} (sharpness {sight.sharpness}), {side}. Its colours: {colours}."
        f" Fingerprint {sight.fingerprint}."
    )
