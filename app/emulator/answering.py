"""What the emulator says in plain words."""

from hashlib import sha256
from random import Random

from app.emulator.conversation import Ask
from app.emulator.sight import Sight

MARK = "[emulator]"
_OPENINGS = ("I see", "The picture shows", "This is", "Here is")


def described(sight: Sight) -> str:
    """Return a sentence or two that tell one picture from another."""
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


def opening(ask: Ask, seed: int) -> str:
    """Return how an answer begins: one way at temperature 0, else as the seed has it."""
    if ask.sampling.temperature == 0:
        return _OPENINGS[0]
    pictures = "".join(picture.sha256 for picture in ask.pictures)
    key = f"{seed}|{ask.prompt}|{pictures}|{ask.sampling}"
    return Random(sha256(key.encode()).digest()).choice(_OPENINGS)  # noqa: S311 - no secret


def plain(ask: Ask, sights: list[Sight], seed: int) -> str:
    """Return an answer in words."""
    asked = f'You asked: "{" ".join(ask.question.split())[:300]}".'
    if not sights:
        return f"{MARK} No picture came with this. {asked}"
    start = opening(ask, seed)
    return f"{MARK} {start} {described(sights[0])} {asked}"
