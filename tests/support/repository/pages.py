"""The pages of the documentation, and the blocks of code in them.

A comment in the line above a block says how the tests are to take it:

    <!-- not run: it asks AWS for money -->     it is not run, and why
    <!-- until: Serving on -->                  its last command goes on; run the next one when its
                                                output has these words
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fixtures.process import ROOT

COMMANDS = frozenset({"bash", "console", "sh", "shell"})
PROGRAMS = frozenset({"python", "js"})
SHOWN = frozenset({"http", "json", "mermaid", "nginx", "text", "yaml", "hcl", "toml", "jsonl"})
"""Languages of code blocks that are not run."""
_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_NOTE = re.compile(r"^ *<!-- (not run|until): (.+) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code in a page."""

    page: str
    line: int
    """The line number of its first line of code, counted from 1."""
    language: str
    text: str
    note: tuple[str, str] | None
    """The comment above it, as its kind and its text."""

    @property
    def is_run(self) -> bool:
        """Whether the block is run: no note excludes it."""
        return self.note is None or self.note[0] != "not run"

    @property
    def until(self) -> str | None:
        """The words in the output of its last command after which the next block may run."""
        return self.note[1] if self.note and self.note[0] == "until" else None

    @property
    def commands(self) -> str:
        """The shell commands of the block: in a console block, the text after the prompts."""
        if self.language != "console":
            return self.text
        return "\n".join(_prompted(self.text.splitlines())) + "\n"


def pages() -> list[Path]:
    """Return every page of the documentation."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for folder in ("bench", "deploy", "machine", "requirements", "tests"):
        found += [p for p in (ROOT / folder).rglob("*.md") if "node_modules" not in p.parts]
    return sorted(found)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of ``page`` in their order."""
    return list(_blocks(str(page.relative_to(ROOT)), page.read_text().splitlines()))


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    begun: tuple[int, str, str] | None = None
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if match is None:
            continue
        if begun is None:
            begun = number, match[2], match[3].strip()
        elif match[2].startswith(begun[1]) and not match[3].strip():
            start, _, language = begun
            note = _NOTE.match(lines[start - 1]) if start else None
            indent = len(lines[start]) - len(lines[start].lstrip())
            text = "\n".join(each[indent:] for each in lines[start + 1 : number]) + "\n"
            yield Block(page, start + 2, language, text, (note[1], note[2]) if note else None)
            begun = None
    assert begun is None, f"{page}: a code block is not closed"


def _prompted(lines: list[str]) -> Iterator[str]:
    goes_on = False
    for line in lines:
        if line.startswith("$ ") or goes_on:
            command = line if goes_on else line[2:]
            yield command
            goes_on = command.endswith("\\")
