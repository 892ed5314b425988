"""``python -m app encryption``: adds a root key, or wraps callers' keys again."""

import argparse
import asyncio
import sys
from pathlib import Path

from app.adapters.aws_session import aws_session
from app.adapters.encryption import root_file
from app.domain.errors import DataKeyError
from app.settings import load
from app.wiring.encryption import open_encryption


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands' arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    new_key = actions.add_parser(
        "new-key", help="add a root key to a key file; new callers' keys are wrapped by it"
    )
    new_key.add_argument("file", type=Path, help="created if it is missing")
    actions.add_parser(
        "rewrap",
        help="wrap all callers' keys by the newest root key, so that older ones can be removed",
    )


def run(parsed: argparse.Namespace) -> int:
    """Run one of the commands and return its exit status."""
    try:
        if parsed.action == "new-key":
            name = root_file.append(parsed.file)
            sys.stderr.write(f"The key {name} is in {parsed.file}. Keep a copy elsewhere.\n")
            return 0
        return asyncio.run(_rewrap())
    except (OSError, ValueError, DataKeyError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


async def _rewrap() -> int:
    settings = load()
    if not settings.encrypts:
        sys.stderr.write("No key is configured: callers' data is kept unencrypted.\n")
        return 2
    async with open_encryption(aws_session(), settings) as cipher:
        rewrapped = await cipher.rewrap()
    sys.stderr.write(f"{rewrapped} keys were wrapped anew.\n")
    return 0
