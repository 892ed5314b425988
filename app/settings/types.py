"""Types that settings of several topics share."""

from importlib.util import find_spec
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

MIB = 1024 * 1024

Bytes = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


def split(value: object) -> object:
    """Return the parts of a text with commas, or any other value as it is."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(split)]


def is_installed(package: str) -> bool:
    """Tell whether an optional package can be imported, without importing it."""
    return find_spec(package) is not None
