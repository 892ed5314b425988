"""The command line: ``python -m app serve | dev | openapi | tasks | keys``."""

import argparse
import asyncio
import sys

import orjson

from app import telemetry
from app.api.v1.tasks import documentation
from app.cli import dev, keys, workers
from app.main import create_app
from app.server.serving import Server
from app.settings import Settings, SettingsError, load
from app.wiring import services


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve HTTP in front of Amazon Bedrock")
    commands.add_parser("dev", help="serve in front of the emulator, and ask a first question")
    commands.add_parser("openapi", help="print the OpenAPI document")
    commands.add_parser("tasks", help="print docs/tasks.md")
    keys.add_arguments(commands.add_parser("keys", help="create, list or revoke API keys"))
    given = parser.parse_args(arguments)
    if given.command == "keys":
        return keys.run(given)
    try:
        return COMMANDS[given.command]()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def serve() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = load()
    services.check(settings)
    telemetry.configure(settings.log_level)
    if settings.workers > 1:
        return workers.run(settings)
    server = Server(create_app(settings, services.open_services), settings)
    server.run()
    return 0 if server.started else 1


def dev_server() -> int:
    """Serve in front of the emulator; no AWS account is needed."""
    return asyncio.run(dev.run(load()))


def openapi() -> int:
    """Print the OpenAPI document. Opens nothing and needs no configuration."""
    document = create_app(Settings.model_construct(), services.open_services).openapi()
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


def tasks() -> int:
    """Print the documentation of the vision tasks."""
    sys.stdout.write(documentation.document() + "\n")
    return 0


COMMANDS = {"serve": serve, "dev": dev_server, "openapi": openapi, "tasks": tasks}


if __name__ == "__main__":
    sys.exit(main())
