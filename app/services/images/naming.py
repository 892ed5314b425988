"""Say which picture of a request an error is about."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import FieldError, ImageError
from app.domain.generation import ImageInput


@contextmanager
def named(image: ImageInput) -> Iterator[None]:
    """Put the picture's place in the request before the detail of an ImageError raised within."""
    try:
        yield
    except ImageError as error:
        if not error.errors:
            error.errors = (FieldError(image.name, error.code, error.detail),)
            error.detail = f"{image.name}: {error.detail}"
        raise
