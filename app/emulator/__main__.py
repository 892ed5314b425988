"""The command line: ``python -m app.emulator``."""

import argparse
import os
from collections.abc import Mapping, Sequence

import uvicorn

from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig


def parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser; a flag's default is its ``EMULATOR_...`` variable, if set."""
    made = argparse.ArgumentParser(
        prog="python -m app.emulator",
        description="A stand-in for Amazon Bedrock that serves Llama 3.2 Vision on its wire.",
    )
    made.add_argument("--host", default=environment.get("EMULATOR_HOST", "127.0.0.1"))
    made.add_argument("--port", type=int, default=int(environment.get("EMULATOR_PORT", "9100")))
    made.add_argument("--fixed-answer", default=environment.get("EMULATOR_FIXED_ANSWER"))
    made.add_argument(
        "--allow-bare-model-id",
        action=argparse.BooleanOptionalAction,
        default=environment.get("EMULATOR_ALLOW_BARE_MODEL_ID", "") not in ("", "0", "false"),
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    given = parser(os.environ).parse_args(arguments)
    config = EmulatorConfig(
        fixed_answer=given.fixed_answer, allow_bare_model_id=given.allow_bare_model_id
    )
    uvicorn.run(
        create_emulator(config),
        host=given.host,
        port=given.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="info",
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
