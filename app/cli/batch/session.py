"""One call of the command, from its arguments to its summary."""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping

from rich.console import Console

from app.cli.batch import folder, service
from app.cli.batch.client import BatchClient, ServiceUnusableError, TaskInfo, find_task
from app.cli.batch.output import Output, OutputError
from app.cli.batch.progress import Tally, shown
from app.cli.batch.run import Run

KEY_VARIABLE = "LLAMA_BATCH_KEY"
INTERRUPTED = 130


def start(parsed: argparse.Namespace) -> int:
    """Run the command; return 0 if every file has its answer, 1 if not, 130 after Ctrl-C."""
    try:
        return asyncio.run(_run(parsed))
    except (ServiceUnusableError, OutputError) as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"{error.filename or parsed.out}: {error.strerror}\n")
    except KeyboardInterrupt:
        return INTERRUPTED
    return 1


async def _run(parsed: argparse.Namespace) -> int:
    parameters = _parameters(parsed.set)
    if not parsed.folder.is_dir():
        raise OutputError(f"{parsed.folder} is not a folder")
    key = parsed.key or os.environ.get(KEY_VARIABLE)
    opened = service.running(parsed.url, key) if parsed.url else service.own()
    async with opened as http:
        task = await find_task(http, parsed.task)
        _check(parameters, task)
        pictures = folder.scan(parsed.folder, documents=task.documents)
        for error in pictures.closed:
            sys.stderr.write(f"{folder.shown(error.filename)}: {error.strerror}\n")
        output = Output(parsed.out, task.name)
        output.open()
        try:
            this = Run(BatchClient(http, task, parameters), pictures, output, parsed.concurrency)
            tally = this.tally()
            with shown(tally, Console(stderr=True)) as display:
                interrupted = await this.interrupted(display)
        finally:
            output.close()
    sys.stdout.write(_summary(tally, pictures.skipped, output, interrupted=interrupted))
    if interrupted:
        return INTERRUPTED
    return 1 if tally.failed or pictures.closed else 0


def _parameters(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if wrong := [name for name, sign, _ in split if not (name and sign)]:
        raise OutputError(f"--set {wrong[0]}: is not NAME=VALUE")
    return {name: value for name, _, value in split}


def _check(parameters: Mapping[str, str], task: TaskInfo) -> None:
    """Raise OutputError if a required parameter is missing: every file would be refused."""
    if missing := [name for name in task.required if name not in parameters]:
        wanted = " ".join(f"--set {name}=…" for name in missing)
        raise OutputError(f"the task {task.name!r} needs {wanted}")


def _summary(tally: Tally, skipped: int, output: Output, *, interrupted: bool) -> str:
    lines = [
        f"{tally.total:,} files: {tally.answered:,} answered, {tally.failed:,} failed, "
        f"{tally.resumed:,} answered before"
        + (f", {skipped:,} other files left alone" if skipped else ""),
        f"{tally.seconds:,.1f} s, {tally.rate:.2f} rows/s, {tally.cost} in all"
        + (f" ({tally.unpriced:,} answers without a price)" if tally.unpriced else ""),
        f"Written to {output.path}.",
    ]
    if interrupted:
        lines.append("Interrupted: the same command continues where this one stopped.")
    elif tally.failed:
        lines.append("The same command sends the failed ones again.")
    return "\n".join(lines) + "\n"
