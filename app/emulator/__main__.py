"""The command line: ``python -m app.emulator``."""

import argparse
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn

from app.emulator.app import create_emulator
from app.emulator.config import (
    EmulatorConfig,
    default_guardrails,
    default_imported_models,
    default_knowledge_bases,
)
from app.emulator.faults.spelling import parsed as parsed_fault
from app.emulator.guardrails import policy

_PREFIX = "EMULATOR_"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return number


# Flag, what it means, and more of `add_argument`. A flag that may be repeated takes its values
# separated by spaces from the environment.
_FLAGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("host", "address to listen on", {"default": "127.0.0.1"}),
    ("port", "port to listen on; 0 takes a free one", {"default": 9100, "type": _port}),
    ("auth", "admit anyone, or verify", {"default": "any", "choices": ("any", "verify")}),
    ("access-key", "ID:SECRET accepted in signatures", {"action": "append"}),
    ("api-key", "Bedrock API key accepted as bearer token", {"action": "append"}),
    ("region", "region in ARNs and signatures", {"default": "us-east-1"}),
    ("fixed-answer", "answer every request with this, and decode no picture", {}),
    ("end-of-life", "MODEL=YYYY-MM-DD, the day it is retired", {"action": "append"}),
    ("imported-model", "ID=NAME: an imported model that exists", {"action": "append"}),
    ("cold-start-seconds", "how long an imported model loads", {"default": 0.0, "type": _seconds}),
    ("idle-seconds", "how long its copy stays unused", {"default": 300.0, "type": _seconds}),
    ("import-seconds", "how long an import job runs", {"default": 2.0, "type": _seconds}),
    ("s3-endpoint", "URL of the S3 server of batch jobs", {}),
    ("batch-seconds", "how long a batch job runs", {"default": 2.0, "type": _seconds}),
    ("batch-least-records", "minimum records of a batch job", {"default": 100, "type": _positive}),
    ("custom-model-units", "units of a copy", {"default": 2, "type": _positive}),
    ("admin-token", "token for /_emulator, except its health", {}),
    ("fault", "a fault on every call; see docs/emulator.md", {"action": "append"}),
    ("guardrail", "ID=RULE,RULE: a guardrail; see docs/emulator.md", {"action": "append"}),
    ("knowledge-base", "ID=FOLDER: documents that Retrieve finds", {"action": "append"}),
    ("seed", "varies the wording above temperature 0", {"default": 0, "type": int}),
    ("recorded-requests", "number of recorded requests", {"default": 1000, "type": _positive}),
    ("workers", "threads that decode and read pictures", {"default": 2, "type": _positive}),
)
_SWITCHES = (
    ("allow-bare-model-id", "serve foundation-model ids without a profile", False),
    ("listed-imports-only", "refuse imported models that were not imported here", False),
    ("record-prompts", "keep prompt texts in the record of requests", False),
    ("read-words", "read words in pictures, where the OCR engine is installed", True),
)
_FALSE = ("", "0", "false", "no", "off")


def parser() -> argparse.ArgumentParser:
    """Return the parser; a flag that was not given is None."""
    made = argparse.ArgumentParser(
        prog="python -m app.emulator",
        description="A stand-in for Amazon Bedrock that serves Llama 3.2 Vision on its wire.",
        epilog="Each flag has an environment variable: --fixed-answer is EMULATOR_FIXED_ANSWER.",
    )
    for flag, meaning, more in _FLAGS:
        made.add_argument(f"--{flag}", help=meaning, **{**more, "default": None})
    for flag, meaning, _ in _SWITCHES:
        made.add_argument(f"--{flag}", help=meaning, action=argparse.BooleanOptionalAction)
    return made


def parsed(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> argparse.Namespace:
    """Return the value of every flag: as given, else from its variable, else its default."""
    made = parser()
    # The variables are read as flags of their own, so that they are checked alike.
    variables = made.parse_args(list(_as_flags(environment)))
    given = made.parse_args(arguments)
    defaults = {flag: more.get("default") for flag, _, more in _FLAGS}
    defaults.update({flag: default for flag, _, default in _SWITCHES})
    for flag, default in defaults.items():
        name = flag.replace("-", "_")
        values = (getattr(given, name), getattr(variables, name), default)
        setattr(given, name, next((value for value in values if value is not None), None))
    return given


def _as_flags(environment: Mapping[str, str]) -> Iterator[str]:
    for flag, _, more in _FLAGS:
        value = environment.get(_variable(flag))
        if value is not None:
            for part in value.split() if more.get("action") == "append" else [value]:
                yield f"--{flag}={part}"
    for flag, _, _ in _SWITCHES:
        value = environment.get(_variable(flag))
        if value is not None:
            yield f"--no-{flag}" if value.lower() in _FALSE else f"--{flag}"


def _variable(flag: str) -> str:
    return _PREFIX + flag.upper().replace("-", "_")


def config_of(given: argparse.Namespace) -> EmulatorConfig:
    """Return the configuration for the arguments.

    Raises `ValueError` for an invalid one.
    """
    for fault in given.fault or ():
        parsed_fault(fault)
    guardrails = _guardrails(given.guardrail) if given.guardrail else default_guardrails()
    for rules in guardrails.values():
        policy.parsed(rules)
    return EmulatorConfig(
        auth=given.auth,
        access_keys=_pairs(given.access_key, ":", "--access-key"),
        api_keys=frozenset(given.api_key or ()),
        region=given.region,
        fixed_answer=given.fixed_answer,
        allow_bare_model_id=given.allow_bare_model_id,
        end_of_life={
            model: _day(day)
            for model, day in _pairs(given.end_of_life, "=", "--end-of-life").items()
        },
        imported_models=(
            _pairs(given.imported_model, "=", "--imported-model")
            if given.imported_model
            else default_imported_models()
        ),
        listed_imports_only=given.listed_imports_only,
        cold_start_seconds=given.cold_start_seconds,
        idle_seconds=given.idle_seconds,
        import_seconds=given.import_seconds,
        s3_endpoint=given.s3_endpoint or None,
        batch_seconds=given.batch_seconds,
        batch_least_records=given.batch_least_records,
        custom_model_units=given.custom_model_units,
        admin_token=given.admin_token or None,
        admin_open=_is_loopback(given.host),
        faults=tuple(given.fault or ()),
        knowledge_bases=(
            _folders(given.knowledge_base) if given.knowledge_base else default_knowledge_bases()
        ),
        seed=given.seed,
        record_prompts=given.record_prompts,
        recorded_requests=given.recorded_requests,
        workers=given.workers,
        read_words=given.read_words,
        guardrails=guardrails,
    )


def _pairs(values: Sequence[str] | None, separator: str, flag: str) -> dict[str, str]:
    split = [value.partition(separator) for value in values or ()]
    if not all(name and separated for name, separated, _ in split):
        raise ValueError(f"{flag} needs two parts with {separator!r} between them")
    return {name: value for name, _, value in split}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--end-of-life needs a date as YYYY-MM-DD, not {text!r}") from None


def _folders(values: Sequence[str] | None) -> dict[str, str]:
    folders = _pairs(values, "=", "--knowledge-base")
    for name, folder in folders.items():
        if not re.fullmatch(r"[0-9a-zA-Z]{10}", name):
            raise ValueError(
                f"--knowledge-base needs an id of ten letters and digits, not {name!r}"
            )
        if not Path(folder).is_dir():
            raise ValueError(f"--knowledge-base {name}: {folder} is not a folder")
    return folders


def _guardrails(values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    pairs = _pairs(values, "=", "--guardrail")
    return {name: tuple(words.split(",")) for name, words in pairs.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal."""
    given = parsed(arguments, os.environ)
    try:
        config = config_of(given)
    except ValueError as error:
        parser().error(str(error))
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
