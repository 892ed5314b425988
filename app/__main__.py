"""The command line: ``python -m app serve | dev | openapi | tasks | settings | keys``."""

import argparse
import asyncio
import sys

from app.cli import dev, documents, keys, serve
from app.settings import SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve HTTP in front of Amazon Bedrock")
    commands.add_parser("dev", help="serve in front of the emulator, and ask a first question")
    commands.add_parser("openapi", help="print the OpenAPI document")
    commands.add_parser("tasks", help="print docs/tasks.md")
    commands.add_parser("settings", help="print docs/settings.md")
    keys.add_arguments(commands.add_parser("keys", help="create, list or revoke API keys"))
    parsed = parser.parse_args(arguments)
    if parsed.command == "keys":
        return keys.run(parsed)
    try:
        return COMMANDS[parsed.command]()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def dev_server() -> int:
    """Serve in front of the emulator; no AWS account is needed."""
    return asyncio.run(dev.run(load()))


COMMANDS = {
    "serve": serve.run,
    "dev": dev_server,
    "openapi": documents.openapi,
    "tasks": documents.tasks,
    "settings": documents.settings,
}


if __name__ == "__main__":
    sys.exit(main())
