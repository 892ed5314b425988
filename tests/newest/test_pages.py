"""The programs on the pages, run with the newest releases of what they import."""

from pathlib import Path

import pytest

from tests.support.programs.installed import newest_node_modules, newest_python, program
from tests.support.repository.page_session import Interpreters, run
from tests.support.repository.pages import COMMANDS, blocks, pages

CLIENTS = ("python", "js")
PAGES = [page for page in pages() if any(b.is_run and b.language in CLIENTS for b in blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_programs_work_with_the_newest_releases(
    page: Path, tmp_path: Path, upstreams: dict[str, str]
) -> None:
    newest = Interpreters(newest_python(), program("node"), newest_node_modules())
    shown = [b for b in blocks(page) if b.is_run and b.language in {*COMMANDS, *CLIENTS}]

    ended = run(shown, tmp_path, upstreams, newest)

    assert ended.returncode == 0, ended.stdout


def test_the_pages_for_sdks_have_programs_in_both_languages() -> None:
    for name in ("aws-sdk.md", "openai.md"):
        (page,) = [page for page in PAGES if page.name == name]
        assert {b.language for b in blocks(page)} >= set(CLIENTS)
