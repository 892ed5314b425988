"""The command line: ``python -m app.emulator``."""

import argparse
import os
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import uvicorn

from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig, default_guardrails
from app.emulator.faults import understood

_PREFIX = "EMULATOR_"
# Flag, what it means, and more of `add_argument`. A flag that may be repeated takes its values
# separated by spaces from the environment.
_FLAGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("host", "address to listen on", {"default": "127.0.0.1"}),
    ("port", "port to listen on; 0 takes a free one", {"default": 9100, "type": int}),
    ("auth", "let anyone in, or verify", {"default": "any", "choices": ("any", "verify")}),
    ("access-key", "ID:SECRET accepted in signatures", {"action": "append"}),
    ("api-key", "Bedrock API key accepted as bearer token", {"action": "append"}),
    ("region", "in ARNs and signatures", {"default": "us-east-1"}),
    ("fixed-answer", "say this, and decode no picture", {}),
    ("end-of-life", "MODEL=YYYY-MM-DD, from when it is retired", {"action": "append"}),
    ("fault", "a fault on every call; see docs/emulator.md", {"action": "append"}),
    ("guardrail", "ID=WORD,WORD: a guardrail that blocks words", {"action": "append"}),
    ("seed", "varies the wording above temperature 0", {"default": 0, "type": int}),
    ("recorded-requests", "how many are remembered", {"default": 1000, "type": int}),
    ("workers", "threads that decode and read pictures", {"default": 2, "type": int}),
)
_SWITCHES = (
    ("allow-bare-model-id", "serve foundation-model ids without a profile", False),
    ("record-prompts", "keep prompt texts in the record of requests", False),
    ("read-words", "read words in pictures, where the OCR engine is installed", True),
)
_FALSE = ("", "0", "false", "no", "off")


def parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser; a flag's default is its ``EMULATOR_...`` variable, if set."""
    made = argparse.ArgumentParser(
        prog="python -m app.emulator",
        description="A stand-in for Amazon Bedrock that serves Llama 3.2 Vision on its wire.",
        epilog="Each flag has an environment variable: --fixed-answer is EMULATOR_FIXED_ANSWER.",
    )
    for flag, meaning, more in _FLAGS:
        made.add_argument(f"--{flag}", help=meaning, **more)
    for flag, meaning, default in _SWITCHES:
        made.add_argument(
            f"--{flag}", help=meaning, default=default, action=argparse.BooleanOptionalAction
        )
    made.set_defaults(**dict(_environment(environment)))
    return made


def _environment(environment: Mapping[str, str]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for flag, _, more in _FLAGS:
        value = environment.get(_PREFIX + flag.upper().replace("-", "_"))
        if value is not None:
            repeated = more.get("action") == "append"
            found.append((flag.replace("-", "_"), value.split() if repeated else value))
    for flag, _, _ in _SWITCHES:
        value = environment.get(_PREFIX + flag.upper().replace("-", "_"))
        if value is not None:
            found.append((flag.replace("-", "_"), value.lower() not in _FALSE))
    return found


def config_of(given: argparse.Namespace) -> EmulatorConfig:
    """Return the configuration that the arguments ask for.

    Raises `ValueError` for one that makes no sense.
    """
    for fault in given.fault or ():
        understood(fault)
    return EmulatorConfig(
        auth=given.auth,
        access_keys=_pairs(given.access_key, ":", "--access-key"),
        api_keys=frozenset(given.api_key or ()),
        region=given.region,
        fixed_answer=given.fixed_answer,
        allow_bare_model_id=given.allow_bare_model_id,
        end_of_life={
            model: date.fromisoformat(day)
            for model, day in _pairs(given.end_of_life, "=", "--end-of-life").items()
        },
        faults=tuple(given.fault or ()),
        seed=given.seed,
        record_prompts=given.record_prompts,
        recorded_requests=given.recorded_requests,
        workers=given.workers,
        read_words=given.read_words,
        guardrails=_guardrails(given.guardrail) if given.guardrail else default_guardrails(),
    )


def _pairs(values: Sequence[str] | None, separator: str, flag: str) -> dict[str, str]:
    split = [value.rpartition(separator) for value in values or ()]
    if not all(name for name, _, _ in split):
        raise ValueError(f"{flag} wants two parts with {separator!r} between them")
    return {name: value for name, _, value in split}


def _guardrails(values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    pairs = _pairs(values, "=", "--guardrail")
    return {name: tuple(words.split(",")) for name, words in pairs.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    made = parser(os.environ)
    given = made.parse_args(arguments)
    try:
        config = config_of(given)
    except ValueError as error:
        made.error(str(error))
    uvicorn.run(
        create_emulator(config),
        host=given.host,
        port=given.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
