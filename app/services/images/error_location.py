"""Adds a picture's location in the request to errors about it."""

from app.domain.errors import FieldError, ImageError
from app.domain.generation import ImageInput


class ImageErrorLocation:
    """Prefixes the detail of an ImageError raised in its block with the picture's location."""

    __slots__ = ("_image",)

    def __init__(self, image: ImageInput) -> None:
        self._image = image

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Add the location to an ImageError."""
        if isinstance(error, ImageError) and not error.errors:
            name = self._image.name
            error.errors = (FieldError(name, error.code, error.detail),)
            error.detail = f"{name}: {error.detail}"
