"""Generated documents with known text, through the tasks, whole and in tiles."""

from collections.abc import Iterator

import httpx
import pytest

from app.settings import Settings
from bench.documents import compared, mixed, score, sent
from fixtures.documents import documents
from tests.support.service.application import Rig

# One worker loads the OCR engine, once.
pytestmark = pytest.mark.xdist_group("reading")

CHOSEN = ("receipt-3", "form-0", "invoice-1", "table-4")
"""One of each kind: skewed, noisy, faint or plain; `python -m bench.documents` runs all."""
IN_EVERY_RUN = CHOSEN[:2]
"""The smaller documents: reading the others' tiles takes nine seconds of CPU each."""


@pytest.fixture(scope="module")
def service(emulator_url: str) -> Iterator[httpx.Client]:
    settings = Settings(_env_file=None, endpoint_url=emulator_url, usage_store="memory")
    with Rig(None, settings=settings).client() as client:
        client.timeout = httpx.Timeout(300)
        yield client


def test_there_are_thirty_documents_of_four_kinds_and_no_two_are_alike():
    names = [document.name for document in documents()]

    assert len(names) == len({document.png for document in documents()}) == 30
    assert {name.partition("-")[0] for name in names} == {"receipt", "invoice", "form", "table"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=() if one in IN_EVERY_RUN else pytest.mark.long) for one in CHOSEN],
)
def test_tiles_neither_lose_nor_double_a_line_that_the_whole_page_has(service, name):
    (document,) = (one for one in documents() if one.name == name)
    plain, high = (score(service, document, detail) for detail in ("auto", "high"))

    assert (high.doubled, high.lost) <= (plain.doubled, plain.lost)
    assert plain.doubled == 0
    assert high.fields_right >= plain.fields_right
    assert high.located >= plain.located
    assert high.iou >= plain.iou - 0.1


def test_pages_of_pdfs_a_tiff_and_pictures_are_in_order(service):
    # The smallest of the documents: six pages in all.
    chosen = [one for one in documents() if one.name.startswith("receipt")][:4]
    files, names = mixed(chosen, 6)
    pages = sent(service, "ocr", files)["result"]["pages"]
    lines = {document.name: document.lines for document in chosen}

    assert [
        compared(lines[n], p["text"].splitlines())[1] for p, n in zip(pages, names, strict=True)
    ] == [0] * 6
    assert [(p["file"], p["number"]) for p in pages] == [
        ("images.0", 1), ("images.0", 2), ("images.1", 1), ("images.1", 2),
        ("images.2", 1), ("images.3", 1),
    ]  # fmt: skip


def test_a_doubled_line_and_a_lost_one_are_counted():
    drawn = ("Corner Shop", "Total: 42.10", "Thank you")

    assert compared(drawn, drawn) == (0, 0)
    assert compared(drawn, ("Corner Shop", "Total: 42.10", "Total: 42.10")) == (1, 1)
    assert compared(drawn, ("CornerShop", "Total: 42.1O", "Thank you")) == (0, 0)
