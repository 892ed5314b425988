"""The command line, ``python -m app``: serve, dev, and commands for operators."""

import argparse
import gc
import signal
import sys
from importlib import import_module
from typing import Any, Protocol, cast


class Command(Protocol):
    """A module of `app.cli` that takes arguments."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    def run(self, parsed: argparse.Namespace) -> int:
        """Run the command and return its exit status."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve HTTP in front of Amazon Bedrock")
    commands.add_parser("openapi", help="print the OpenAPI document")
    commands.add_parser("tasks", help="print docs/tasks.md")
    commands.add_parser("settings", help="print docs/settings.md")
    for name, (module, text) in WITH_ARGUMENTS.items():
        added = commands.add_parser(name, help=text)
        if words[:1] == [name]:
            _command(module).add_arguments(added)
    parsed = parser.parse_args(words)
    # Not above: importing it takes long enough to be interrupted.
    from app.settings import SettingsError

    try:
        if parsed.command in WITH_ARGUMENTS:
            return _command(WITH_ARGUMENTS[parsed.command][0]).run(parsed)
        return _started(parsed.command)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n{HINT}\n")
        return 2


def _command(module: str) -> Command:
    """Import only the command's module of `app.cli`: importing the others would slow the start."""
    # The garbage collector takes an eighth of the imports' time and finds nothing then.
    collecting = gc.isenabled()
    gc.disable()
    try:
        imported: Any = import_module(f"app.cli.{module}")
        return cast("Command", imported)
    finally:
        if collecting:
            # Modules stay alive: the collector's first pass over them would cost a tenth of a
            # start.
            gc.freeze()
            gc.enable()


def _started(command: str) -> int:
    """Run a command without arguments; a failed start points to the doctor.

    The reason is already in the log, by one worker, several of them, or the port's listener.
    """
    module, function = COMMANDS[command]
    try:
        status: int = getattr(_command(module), function)()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    if status and command in SERVERS:
        sys.stderr.write(f"{HINT}\n")
    return status


HINT = "python -m app doctor checks everything that the service needs, one by one."

COMMANDS = {
    "serve": ("serve", "run"),
    "openapi": ("documents", "openapi"),
    "tasks": ("documents", "tasks"),
    "settings": ("documents", "settings"),
}
"""Modules of `app.cli` and their functions, by command; imported when they are run."""

SERVERS = ("serve",)
"""Commands whose failed starts point to the doctor; ``dev`` itself says what is missing."""

WITH_ARGUMENTS: dict[str, tuple[str, str]] = {
    "dev": ("dev", "serve in front of the emulator, and ask a first question"),
    "import": ("import_model", "import Llama 3.2 Vision's weights from S3 into Bedrock"),
    "warm": ("warm", "load an imported model before it is needed"),
    "models": ("models", "list or delete imported models"),
    "doctor": ("doctor.command", "check everything that the service needs, one by one"),
    "encryption": ("encryption", "add a root key for callers' data, or wrap their keys again"),
    "receipts": ("receipts", "add a key that signs receipts and audit heads"),
    "audit": ("audit", "read the whole audit log and report whether it is intact"),
    "verify": ("verify", "state in words what a receipt proves"),
    "batch": ("batch.command", "run one task over a folder of pictures"),
    "keys": ("keys", "create, list or revoke API keys"),
}


INTERRUPTED = 128 + signal.SIGINT

if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
