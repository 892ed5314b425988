"""``python -m app.emulator``: flags, their environment variables, and the process itself."""

import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import boto3
import pytest

from app.emulator.__main__ import config_of, main, parsed
from app.emulator.config import EmulatorConfig
from tests.support.emulator.bodies import BARE, MODEL, messages
from tests.support.emulator.serving import KEYS, OPENED

ROOT = Path(__file__).parents[2]


def config(*arguments: str, **environment: str) -> EmulatorConfig:
    return config_of(parsed(arguments, environment))


def test_without_flags_the_configuration_is_the_default() -> None:
    assert config() == EmulatorConfig()


def test_every_flag_reaches_the_configuration() -> None:
    made = config(
        *("--auth", "verify", "--access-key", "AKID:a/se:cret", "--api-key", "token"),
        *("--region", "us-west-2", "--fixed-answer", "Yes.", "--seed", "7", "--workers", "1"),
        *("--end-of-life", f"{BARE}=2026-07-07", "--fault", "throttle-every-3"),
        *("--guardrail", "mine=a,b c", "--recorded-requests", "5"),
        *("--allow-bare-model-id", "--record-prompts", "--no-read-words"),
        *("--imported-model", "abc123def456=mine", "--listed-imports-only"),
        *("--cold-start-seconds", "40", "--idle-seconds", "60", "--import-seconds", "0.5"),
        *("--knowledge-base", "ABCDEFGHIJ=/"),
        *("--custom-model-units", "4", "--admin-token", "secret", "--host", "0.0.0.0"),
    )
    assert made == EmulatorConfig(
        auth="verify",
        access_keys={"AKID": "a/se:cret"},
        api_keys=frozenset({"token"}),
        region="us-west-2",
        fixed_answer="Yes.",
        seed=7,
        workers=1,
        end_of_life={BARE: date(2026, 7, 7)},
        faults=("throttle-every-3",),
        guardrails={"mine": ("a", "b c")},
        recorded_requests=5,
        allow_bare_model_id=True,
        record_prompts=True,
        read_words=False,
        imported_models={"abc123def456": "mine"},
        listed_imports_only=True,
        cold_start_seconds=40,
        idle_seconds=60,
        import_seconds=0.5,
        knowledge_bases={"ABCDEFGHIJ": "/"},
        custom_model_units=4,
        admin_token="secret",
        admin_open=False,
    )


def test_a_flag_wins_over_its_variable() -> None:
    variables = {
        "EMULATOR_SEED": "3",
        "EMULATOR_FAULT": "throttle-every-3 token-5ms",
        "EMULATOR_RECORD_PROMPTS": "true",
        "EMULATOR_READ_WORDS": "0",
    }
    made = config(**variables)
    assert (made.seed, made.record_prompts, made.read_words) == (3, True, False)
    assert made.faults == ("throttle-every-3", "token-5ms")
    again = config("--seed", "4", "--no-record-prompts", "--fault", "drop", **variables)
    assert (again.seed, again.record_prompts, again.faults) == (4, False, ("drop",))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fault", "nonsense"),
        ("--end-of-life", "2026-07-07"),
        ("--end-of-life", f"{BARE}=soon"),
        ("--access-key", "AKID"),
        ("--auth", "maybe"),
        ("--port", "many"),
        ("--port", "99999"),
        ("--workers", "0"),
        ("--imported-model", "abc"),
        ("--guardrail", "mine=regex:("),
        ("--knowledge-base", "short=/"),
        ("--knowledge-base", "ABCDEFGHIJ=/no/such/folder"),
        ("--cold-start-seconds", "-1"),
        ("--idle-seconds", "inf"),
        ("--custom-model-units", "0"),
    ],
)
def test_an_invalid_flag_stops_the_start_and_is_named(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "error:" in told
    assert arguments[0] in told or arguments[1] in told


def test_the_process_serves_and_exits_on_sigterm() -> None:
    command = [sys.executable, "-m", "app.emulator", "--port", "0", "--no-read-words"]
    environment = {**os.environ, "EMULATOR_FIXED_ANSWER": "From a process."}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            found = next(filter(None, (re.search(r"http://127\S+:\d+", line) for line in lines)))
            client = boto3.client(
                "bedrock-runtime", region_name="us-east-1", endpoint_url=found[0], **KEYS
            )
            OPENED.append(client)
            reply = client.converse(modelId=MODEL, messages=messages())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        finally:
            process.kill()
    assert reply["output"]["message"]["content"] == [{"text": "From a process."}]
    assert process.returncode in (0, -signal.SIGTERM)
