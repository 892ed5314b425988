"""The command line: ``python -m app serve | dev | openapi | keys``."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import uvicorn
from fastapi import FastAPI

from app import dev, keys, telemetry, wiring
from app.main import create_app
from app.settings import Settings, SettingsError, load
from app.telemetry.metrics import MULTIPROCESS


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve HTTP in front of Amazon Bedrock")
    commands.add_parser("dev", help="serve in front of the emulator, and ask a first question")
    commands.add_parser("openapi", help="print the OpenAPI document")
    keys.add_arguments(commands.add_parser("keys", help="create, list or revoke API keys"))
    given = parser.parse_args(arguments)
    if given.command == "keys":
        return keys.run(given)
    try:
        return {"serve": serve, "dev": dev_server, "openapi": openapi}[given.command]()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def serve() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = load()
    telemetry.configure(settings.log_level)
    with metrics_folder(settings.workers):
        _serve(settings)
    return 0


def _serve(settings: Settings) -> None:
    uvicorn.run(
        "app.__main__:application",
        factory=True,
        workers=settings.workers,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        loop="uvloop",
        http="httptools",
    )


def application() -> FastAPI:
    """Return the application as a worker process serves it."""
    settings = load()
    telemetry.configure(settings.log_level)
    return create_app(settings, wiring.open_services)


@contextmanager
def metrics_folder(workers: int) -> Iterator[None]:
    """Give several workers a folder to put their numbers together in; see app.telemetry."""
    # Prometheus's client reads the variable itself, when it is imported: in the workers.
    if workers == 1 or os.environ.get(MULTIPROCESS):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="llama-vision-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder
        yield


def dev_server() -> int:
    """Serve in front of the emulator; no AWS account is needed."""
    return asyncio.run(dev.run(load()))


def openapi() -> int:
    """Print the OpenAPI document. Opens nothing and needs no configuration."""
    document = create_app(Settings.model_construct(), wiring.open_services).openapi()
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
