"""The progress of a run: a bar on a terminal, otherwise a line now and then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from app.cli.batch.row import Row

EVERY = 30.0
"""Seconds between two lines without a terminal."""


@dataclass(slots=True)
class Tally:
    """The counts and the cost of a run so far."""

    total: int
    resumed: int = 0
    """Rows that earlier runs answered."""
    answered: int = 0
    failed: int = 0
    cost_usd: float = 0
    unpriced: int = 0
    """Answers whose cost the service did not know."""
    began: float = field(default_factory=time.monotonic)

    def add(self, row: Row) -> None:
        """Count a row."""
        if not row.done:
            self.failed += 1
            return
        self.answered += 1
        self.cost_usd += row.cost_usd or 0
        self.unpriced += row.cost_usd is None

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Rows a second of this run."""
        return (self.answered + self.failed) / self.seconds if self.seconds else 0

    @property
    def left(self) -> int:
        """Rows that have not been sent yet."""
        return self.total - self.resumed - self.answered - self.failed

    @property
    def cost(self) -> str:
        """The cost so far as text."""
        unknown = self.answered > 0 and self.unpriced == self.answered
        return "cost unknown" if unknown else f"${self.cost_usd:,.4f}"

    def line(self) -> str:
        """Return the whole tally as one line of text."""
        rate = self.rate
        remaining = f"{self.left / rate:,.0f} s left" if rate else "time left unknown"
        return (
            f"{self.resumed + self.answered + self.failed:,} of {self.total:,} rows, "
            f"{self.failed:,} failed, {rate:.1f} rows/s, {remaining}, {self.cost}"
        )


@dataclass(slots=True)
class Display:
    """Shows a tally as it grows."""

    tally: Tally
    console: Console
    bar: Progress | None = None
    task: TaskID | None = None
    _printed: float = field(default_factory=time.monotonic)

    def update(self) -> None:
        """Show the current tally; without a terminal at most every `EVERY` seconds."""
        tally = self.tally
        if self.bar is not None and self.task is not None:
            self.bar.update(
                self.task,
                completed=tally.resumed + tally.answered + tally.failed,
                failed=tally.failed,
                rate=f"{tally.rate:.1f}",
                cost=tally.cost,
            )
        elif time.monotonic() - self._printed >= EVERY:
            self._printed = time.monotonic()
            self.console.print(tally.line(), highlight=False)


@contextmanager
def shown(tally: Tally, console: Console) -> Iterator[Display]:
    """Show ``tally`` while the block runs."""
    if not console.is_terminal:
        yield Display(tally, console)
        return
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows · [red]{task.fields[failed]} failed[/] · {task.fields[rate]} rows/s ·"),
        TimeRemainingColumn(),
        TextColumn("left · {task.fields[cost]}"),
        console=console,
    )
    with bar:
        task = bar.add_task("rows", total=tally.total, failed=0, rate="0.0", cost="$0")
        display = Display(tally, console, bar, task)
        display.update()
        yield display
