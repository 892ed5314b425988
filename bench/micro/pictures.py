"""Draw the pictures of docs/images.md: ``python -m bench.micro.pictures``."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from app.domain.image import ImageLimits, PreparedImage, ReceivedImage
from app.services.images.drawing.sheet import contact_sheet
from app.services.images.prepare import prepare
from fixtures.images import DATA, sample

FOLDER = Path(__file__).parents[2] / "docs" / "images"
LIMITS = ImageLimits()
SHEET = ("rocket.jpg", "astronaut.png", "chelsea.png", "exif-Portrait_8.jpg", "coffee.png")


def prepared(name: str) -> PreparedImage:
    return prepare(ReceivedImage(sample(name)), LIMITS).prepared


def opened(picture: PreparedImage) -> Image.Image:
    return Image.open(BytesIO(picture.data)).convert("RGB")


def write(name: str, picture: Image.Image, side: int) -> None:
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(FOLDER / name, quality=85, optimize=True)


def turned() -> None:
    """A portrait as a phone stores it, and as the model gets it."""
    with Image.open(DATA / "exif-Portrait_8.jpg") as stored:
        stored.thumbnail((480, 480))
        after = opened(prepared("exif-Portrait_8.jpg"))
        after.thumbnail((480, 480))
        pair = Image.new("RGB", (stored.width + after.width + 40, 480), "white")
        pair.paste(stored.convert("RGB"), (0, (480 - stored.height) // 2))
        pair.paste(after, (stored.width + 40, 0))
    write("turned.jpg", pair, 860)


def sheet() -> None:
    """Five pictures laid out on one."""
    drawn = contact_sheet([prepared(name) for name in SHEET], LIMITS)
    write("contact-sheet.jpg", opened(drawn.prepared), 640)


if __name__ == "__main__":
    turned()
    sheet()
