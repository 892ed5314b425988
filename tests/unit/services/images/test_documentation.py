from dataclasses import fields
from pathlib import Path

import pytest

from app.domain.errors import ImageError, catalogue
from app.domain.image import ImageLimits, ImageReport
from app.services.images.caveats import CODES

DOCUMENT = Path(__file__).parents[4] / "docs" / "images.md"


def rows(name: str) -> int:
    """How many table rows of the document begin with this name."""
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


@pytest.mark.parametrize(
    "code", [error.code for error in catalogue() if issubclass(error, ImageError)]
)
def test_every_refusal_of_a_picture_has_its_row_in_the_document(code):
    assert rows(code) >= 1
