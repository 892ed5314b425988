"""Documents that repeat facts of the code match it."""

import json
import re
from pathlib import Path

import pytest

from app.api.v1.tasks import documentation
from app.domain import errors
from app.main import create_app
from app.settings import Settings
from app.wiring.services import open_services

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench/README.md"])


def test_every_error_code_has_its_row_with_status_and_meaning():
    text = (ROOT / "docs/errors.md").read_text()
    rows = {m[1]: m[0] for m in re.finditer(r"^\| `(\w+)` \| \d+ .*$", text, re.MULTILINE)}

    expected = {
        cls.code: f"| `{cls.code}` | {cls.status} | {'yes' if cls.retryable else 'no'} | "
        f"{(cls.__doc__ or '').strip().splitlines()[0]} |"
        for cls in errors.catalogue()
    }
    assert rows == expected


def test_the_page_about_tasks_is_generated_from_their_specs():
    assert (ROOT / "docs/tasks.md").read_text() == documentation.document() + "\n", (
        "run `make tasks`"
    )


def test_error_codes_are_unique_and_complete():
    found = list(errors.catalogue())

    assert len({cls.code for cls in found}) == len(found)
    for cls in found:
        assert re.fullmatch(r"[a-z0-9_]+", cls.code)
        assert 400 <= cls.status < 600
        assert cls.title


def test_the_exported_openapi_document_is_the_applications():
    exported = json.loads((ROOT / "openapi/openapi.json").read_text())

    current = create_app(Settings.model_construct(), open_services).openapi()
    assert exported == json.loads(json.dumps(current)), "run `make openapi`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_or_links_to_exists(page):
    text = page.read_text()
    named = [ROOT / path for path in re.findall(r"\b(?:app|docs|tests)/[\w./-]*\w", text)]
    linked = [page.parent / path for path in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text)]

    assert [path for path in named + linked if not path.exists()] == []


def test_the_architecture_names_existing_files():
    assert len(re.findall(r"\bapp/[\w/]+\.py", (ROOT / "docs/architecture.md").read_text())) > 30


def test_decisions_are_numbered_consecutively():
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for number, page in enumerate(pages, 1):
        assert page.read_text().startswith(f"# {number}. "), page.name
