"""Names the picture of a request that an error is about."""

from app.domain.errors import FieldError, ImageError
from app.domain.generation import ImageInput


class ImageErrorLocation:
    """Puts the picture's place in the request before the detail of an ImageError raised within."""

    __slots__ = ("_image",)

    def __init__(self, image: ImageInput) -> None:
        self._image = image

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Name it."""
        if isinstance(error, ImageError) and not error.errors:
            name = self._image.name
            error.errors = (FieldError(name, error.code, error.detail),)
            error.detail = f"{name}: {error.detail}"
