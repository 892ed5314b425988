"""Every command and program on a page is run, or the page says why not."""

import importlib.util
import re

import pytest

from app.__main__ import main
from fixtures.process import ROOT
from tests.support.repository.page_session import run
from tests.support.repository.pages import COMMANDS, PROGRAMS, SHOWN, Block, blocks, pages

BY_PAGE = {page.relative_to(ROOT): blocks(page) for page in pages()}
ALL = [block for each in BY_PAGE.values() for block in each]


def runnable(found: list[Block]) -> list[Block]:
    return [b for b in found if b.is_run and b.language in COMMANDS | {"python"}]


RUN = {str(page): found for page, each in BY_PAGE.items() if (found := runnable(each))}


IN_EVERY_RUN = ("README.md", "docs/access.md", "docs/operations.md", "docs/aws-sdk.md")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=() if page in IN_EVERY_RUN else pytest.mark.long) for page in RUN],
)
def test_every_command_of_the_page_works(page, tmp_path, upstreams):
    ended = run(RUN[page], tmp_path, upstreams)

    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", ["docs/access.md", "docs/operations.md", "docs/aws-sdk.md"])
def test_pages_for_operators_contain_commands_that_are_run(name):
    assert name in RUN


def test_every_code_block_names_its_language():
    known = COMMANDS | PROGRAMS | SHOWN

    assert [f"{b.page}:{b.line}" for b in ALL if b.language not in known] == []


def test_a_block_that_is_not_run_gives_its_reason():
    reasons = {f"{b.page}:{b.line}": b.note[1] for b in ALL if b.note and not b.is_run}

    assert [place for place, why in reasons.items() if len(why.split()) < 3] == []


def test_notes_stand_directly_above_a_block_of_commands_or_a_program():
    for page in pages():
        notes = re.findall(r"^ *<!-- (?:not run|until)", page.read_text(), re.MULTILINE)
        taken = [b for b in blocks(page) if b.note and b.language in COMMANDS | PROGRAMS]
        assert len(notes) == len(taken), page


def inline(pattern: str) -> set[str]:
    """Return the backquoted parts of the pages' text that match, by the first group."""
    found: set[str] = set()
    for page in pages():
        found.update(re.findall(rf"`[^`\n]*{pattern}[^`\n]*`", page.read_text()))
    return found


def test_commands_within_the_text_exist(capsys):
    commands = inline(r"python -m app ([a-z]+)")
    targets = {each for found in inline(r"^make ((?:[a-z]+ ?)+)") for each in found.split()}
    targets |= {each for found in inline(r"make ([a-z]+)") for each in found.split()}
    modules = inline(r"python -m ((?:bench|machine|tests)[\w.]*)")
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert commands
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command
    capsys.readouterr()
    assert targets <= known
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
