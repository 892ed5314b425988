import importlib
import pkgutil
from dataclasses import fields
from pathlib import Path

import pytest

from app.domain.errors import ImageError
from app.domain.image import ImageLimits, ImageReport
from app.services import images
from app.services.images.warnings import CODES

DOCUMENT = Path(__file__).parents[3] / "docs" / "images.md"


def rows(name: str) -> int:
    """Return how many table rows of the document begin with this name."""
    lines = DOCUMENT.read_text().splitlines()
    return sum(line.startswith(f"| `{name}` |") for line in lines)


@pytest.mark.parametrize("limit", [field.name for field in fields(ImageLimits)])
def test_every_limit_has_its_row_in_the_document(limit):
    assert rows(limit) == 1


@pytest.mark.parametrize("field", [field.name for field in fields(ImageReport)])
def test_every_field_of_the_report_has_its_row_in_the_document(field):
    assert rows(field) == 1


@pytest.mark.parametrize("code", CODES)
def test_every_warning_has_its_row_in_the_document(code):
    assert rows(code) >= 1


def raised() -> list[str]:
    """Return the codes of the errors that the package's modules refer to."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(images.__path__, f"{images.__name__}.")
    ]
    errors = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ImageError)
    }
    return sorted(error.code for error in errors - {ImageError})


@pytest.mark.parametrize("code", raised())
def test_every_refusal_of_a_picture_has_its_row_in_the_document(code):
    assert rows(code) >= 1


def test_the_refusals_are_found_in_the_modules():
    assert {"image_damaged", "image_decoder_failed", "too_many_images"} <= set(raised())
