"""``python -m app batch FOLDER --task caption --out captions.jsonl``."""

import argparse
import sys
from pathlib import Path

from app.settings.types import is_installed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "folder", type=Path, help="the folder of pictures; its subfolders are included"
    )
    parser.add_argument("--task", required=True, help="caption, ocr, …: see docs/tasks.md")
    parser.add_argument(
        "--out", type=Path, required=True, help="a .jsonl file, or a .csv file for spreadsheets"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the task: --set question='What is it?'",
    )
    parser.add_argument("--url", help="a running service; without it one is started for this run")
    parser.add_argument(
        "--key", help="API key for --url; better in the environment, as LLAMA_BATCH_KEY"
    )
    parser.add_argument(
        "--concurrency", type=_positive, default=8, metavar="N", help="files in progress at a time"
    )


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 256")
    return number


def run(parsed: argparse.Namespace) -> int:
    """Run the command; return 0 if every file has its answer, 1 if not, 130 after Ctrl-C."""
    # Only this command needs the terminal library; the service works without it.
    if not is_installed("rich"):
        sys.stderr.write("It needs rich, which is not installed: pip install rich\n")
        return 2
    from app.cli.batch import session

    return session.start(parsed)
