"""A run: sends every file, a few at a time, and writes each answer as it arrives."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.cli.batch.client import BatchClient
from app.cli.batch.folder import Folder
from app.cli.batch.output import Output
from app.cli.batch.progress import Display, Tally

GRACE = 60.0
"""Seconds to wait for answers after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run over a folder."""

    client: BatchClient
    folder: Folder
    output: Output
    concurrency: int

    def tally(self) -> Tally:
        """Return the tally before the run begins."""
        resumed = [name for name in self.folder.files if name in self.output.done]
        cost = sum(self.output.done[name] for name in resumed)
        return Tally(len(self.folder.files), len(resumed), cost_usd=cost)

    async def through(self, display: Display) -> None:
        """Send every file that has no answer yet.

        Raises ServiceUnusableError, or OSError if the output can't be written.
        """
        left = [each for each in self.folder.files.items() if each[0] not in self.output.done]
        files = iter(left)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.concurrency):
                    group.create_task(self._work(files, display))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _work(self, files: Iterator[tuple[str, Path]], display: Display) -> None:
        for name, path in files:
            row = await self.client.ask(name, path)
            if row is None:
                return
            self.output.write(row)
            display.tally.add(row)
            display.update()
            if self.client.stopping.is_set():
                return

    async def interrupted(self, display: Display) -> bool:
        """Run, and tell whether Ctrl-C ended it.

        Calls in progress may be paid for, so their answers are waited for, up to `GRACE` seconds or
        until a second Ctrl-C.
        """
        running = asyncio.create_task(self.through(display))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            self.client.stopping.set()
            display.console.print(
                "Waiting for the answers in progress; Ctrl-C again gives them up."
            )
            await asyncio.wait({running}, timeout=GRACE)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            current = asyncio.current_task()
            assert current is not None
            current.uncancel()
            return True
        return False
