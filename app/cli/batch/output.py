"""The output of a run: each answer is written at once, so that a broken run can be resumed.

Rows are written to a file of JSON lines. A table is made from it at the end, as its columns are
known only then; the file of lines is kept beside it.
"""

import contextlib
import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from app.cli.batch import row
from app.cli.batch.row import COLUMNS, Row

_NUMBER = re.compile(r"-?[0-9.]+(e[-+]?[0-9]+)?")


class OutputError(Exception):
    """The output can't be used or resumed; the message says why."""


@dataclass(slots=True)
class Output:
    """The output of one run."""

    path: Path
    task: str
    done: dict[str, float] = field(default_factory=dict)
    """Cost in US dollars of the files that earlier runs answered, by file."""
    _file: TextIO | None = None

    @property
    def is_table(self) -> bool:
        """Whether the output is a CSV table."""
        return self.path.suffix.lower() == ".csv"

    @property
    def lines(self) -> Path:
        """The file of JSON lines."""
        return self.path.with_name(f"{self.path.name}.jsonl") if self.is_table else self.path

    def open(self) -> None:
        """Open the output and resume an earlier one: answered rows stay, others are dropped.

        Raises OutputError if it is not an output of this task, OSError if it can't be written.
        """
        kept = list(self._answered())
        self.done = {each.file: each.cost_usd or 0 for each in kept}
        fresh = self.lines.with_name(f".{self.lines.name}.new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.writelines(f"{each.line()}\n" for each in kept)
            fresh.replace(self.lines)
        except OSError:
            # Half a file would only take up space on a full disk.
            fresh.unlink(missing_ok=True)
            raise
        self._file = self.lines.open("a", encoding="utf-8")

    def _answered(self) -> Iterator[Row]:
        seen = set()
        for each in self._rows():
            if each.task != self.task:
                raise OutputError(
                    f"{self.path} has answers of {each.task}, not of {self.task}: "
                    "choose another --out"
                )
            if each.done and each.file not in seen:
                seen.add(each.file)
                yield each

    def _rows(self) -> Iterator[Row]:
        if not self.lines.exists():
            if self.is_table and self.path.exists():
                raise OutputError(f"{self.path} already exists: choose another --out")
            return
        with self.lines.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                entry = row.read(line)
                if entry is None and line.endswith("\n"):
                    raise OutputError(
                        f"{self.lines} line {number} is not a row of an earlier run: "
                        "choose another --out"
                    )
                if entry is not None:
                    yield entry

    def write(self, each: Row) -> None:
        """Write a row through to the file."""
        assert self._file is not None
        self._file.write(f"{each.line()}\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file, and write the table if the output is one."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        if self.is_table:
            self._tabulate()

    def _tabulate(self) -> None:
        own: dict[str, None] = {}
        for each in self._rows():
            own.update(dict.fromkeys(each.cells()))
        names = [*COLUMNS, *(name for name in own if name not in COLUMNS)]
        fresh = self.path.with_name(f".{self.path.name}.new")
        # Spreadsheets recognise UTF-8 only by its byte order mark.
        with fresh.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, names, restval="")
            table.writeheader()
            for each in self._rows():
                table.writerow({name: _inert(cell) for name, cell in each.cells().items()})
        fresh.replace(self.path)


def _inert(cell: str) -> str:
    """Return the cell so that no spreadsheet takes it for a formula."""
    formula = cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if formula and not _NUMBER.fullmatch(cell) else cell
