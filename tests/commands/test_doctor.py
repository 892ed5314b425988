"""``python -m app doctor``: each line, good and bad, with real servers."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.endpoint import AioEndpoint

from app.__main__ import main
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import PREFIX, Settings
from tests.support.servers.identity_provider import identity_provider
from tests.support.servers.postgres import PostgresServer
from tests.support.servers.s3 import make_bucket, s3_client
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

ROOT = Path(__file__).parents[2]
MODEL = "arn:aws:bedrock:us-west-2:123456789012:imported-model/llama32vis11"


@pytest.fixture(scope="module")
def emulator_url() -> Iterator[str]:
    with serving(
        create_emulator(EmulatorConfig(region="us-west-2", listed_imports_only=True))
    ) as url:
        yield url


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, emulator_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"ENDPOINT_URL": emulator_url, "MODEL_ID": MODEL}.items():
        monkeypatch.setenv(PREFIX + name, value)


def told(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Run the doctor; return the exit status, and each line's level and text by subject."""
    status = main(["doctor", "--json", *more])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return status, {
        finding["subject"]: (finding["level"], f"{finding['message']} {finding['mend']}")
        for finding in findings
    }


def test_a_healthy_service_is_reported_line_by_line(capsys):
    assert main(["doctor"]) == 0

    text = capsys.readouterr().out
    assert text.endswith("checks\n")
    assert "0 fault(s), 0 warning(s)" in text


def test_every_check_of_a_healthy_service_is_ok(capsys):
    status, lines = told(capsys, "--spend")

    assert {subject: line for subject, line in lines.items() if line[0] != "ok"} == {}
    assert status == 0
    assert lines.keys() == {
        "Python", "packages", "setting", "endpoint", "clock", "credentials", "identity", "target",
        "model", "call with text", "call with a picture", "residency",
    }  # fmt: skip
    assert "2 Custom Model Units a copy" in lines["model"][1]
    assert "tokens in" in lines["call with a picture"][1]


@pytest.mark.parametrize(
    ("name", "value", "subject", "level", "text"),
    [
        (f"{PREFIX}PORT", "x", "settings", "fault", f"{PREFIX}PORT"),
        (f"{PREFIX}ENDPOINT_URL", "http://127.0.0.1:9", "endpoint", "fault", "be reached"),
        ("AWS_ACCESS_KEY_ID", "", "credentials", "fault", "finds none"),
        ("AWS_PROFILE", "nobody", "credentials", "fault", "AWS_PROFILE"),
        ("AWS_BEARER_TOKEN_BEDROCK", "key\n", "credentials", "warning", "white space"),
        ("AWS_BEARER_TOKEN_BEDROCK", "two keys", "credentials", "fault", "spaces"),
        ("AWS_BEARER_TOKEN_BEDROCK", "key", "credentials", "ok", "API key"),
        (f"{PREFIX}MODEL_ID", f"{MODEL}x", "model", "fault", "not found"),
        (
            f"{PREFIX}MODEL_ID", "us.meta.llama3-2-11b-instruct-v1:0",
            "lifecycle", "warning", "2026-07-07",
        ),
        (f"{PREFIX}PRICES_FILE", "none.json", "settings", "fault", "PRICES_FILE"),
        (f"{PREFIX}REDIS_URL", "redis://127.0.0.1:9/0", "Redis", "fault", "REDIS_URL"),
        (f"{PREFIX}POSTGRES_URL", "postgresql://127.0.0.1:9/x", "PostgreSQL", "fault", "Check"),
    ],
)  # fmt: skip
def test_each_failed_check_says_how_to_fix_it(
    capsys, monkeypatch, name, value, subject, level, text
):
    monkeypatch.setenv(name, value)

    _, lines = told(capsys)

    assert lines[subject][0] == level
    assert text in lines[subject][1]


def test_an_unwritable_usage_file_is_a_failure(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv(f"{PREFIX}USAGE_STORE", "sqlite")
    _, good = told(capsys)
    monkeypatch.setenv(f"{PREFIX}USAGE_FILE", str(tmp_path / "none" / "usage.sqlite3"))
    status, bad = told(capsys)

    assert good[f"{PREFIX}USAGE_FILE"][0] == "ok"
    assert (status, bad[f"{PREFIX}USAGE_FILE"][0]) == (2, "fault")


def test_sts_is_asked_for_the_credentials_owner(capsys, monkeypatch, s3_url):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_url)

    main(["doctor"])

    assert "ok       identity: arn:aws:sts::" in capsys.readouterr().out


def test_reachable_stores_are_named_without_their_passwords(
    capsys, monkeypatch, redis_url, postgres: PostgresServer, s3_url
):
    make_bucket(s3_client(s3_url), "pictures-of-the-doctor")
    for name, value in {
        "REDIS_URL": redis_url,
        "POSTGRES_URL": postgres.url,
        "IMAGE_S3_BUCKETS": "pictures-of-the-doctor/in,nobodys-bucket",
        "IMAGE_S3_ENDPOINT_URL": s3_url,
    }.items():
        monkeypatch.setenv(PREFIX + name, value)

    main(["doctor"])
    text = capsys.readouterr().out

    assert "ok       Redis: version" in text
    assert "ok       PostgreSQL: version" in text
    assert "ok       bucket pictures-of-the-doctor: in us-west-2" in text
    assert "FAULT    bucket nobodys-bucket" in text
    assert redis_url not in text
    assert postgres.url not in text


@pytest.mark.parametrize("there", [True, False])
def test_the_token_issuer_is_asked_for_its_keys(capsys, monkeypatch, there):
    with identity_provider() as issuer:
        monkeypatch.setenv(f"{PREFIX}OIDC_AUDIENCE", "vision")
        monkeypatch.setenv(f"{PREFIX}OIDC_ISSUER", issuer.url if there else "http://127.0.0.1:9")
        _, lines = told(capsys)

    assert lines["OIDC issuer"][0] == ("ok" if there else "fault")


@pytest.fixture
def other_server(monkeypatch: pytest.MonkeyPatch, emulator_url: str) -> Iterator[str]:
    """Serve another instance of this service, and point the doctor to it alone."""
    served = Settings(_env_file=None, endpoint_url=emulator_url, model_id=MODEL)
    for name in ("ENDPOINT_URL", "MODEL_ID"):
        monkeypatch.delenv(PREFIX + name)
    monkeypatch.setenv(f"{PREFIX}DIALECT", "openai")
    monkeypatch.setenv(f"{PREFIX}OPENAI_MODEL", MODEL)
    with serving(Rig(model=None, settings=served).app()) as url:
        monkeypatch.setenv(f"{PREFIX}OPENAI_URL", f"{url}/v1")
        yield url


def test_a_server_other_than_bedrock_is_checked_instead_of_aws(capsys, other_server):
    status, lines = told(capsys, "--spend")

    assert lines.keys() >= {"AWS", "target", "server", "call with text", "call with a picture"}
    assert not lines.keys() & {"endpoint", "credentials", "identity", "model"}
    assert (status, MODEL in lines["server"][1]) == (0, True)


@pytest.mark.parametrize(
    ("name", "value", "level", "text"),
    [
        ("OPENAI_URL", "http://127.0.0.1:9/v1", "fault", "OPENAI_URL"),
        ("OPENAI_MODEL", "other", "fault", "OPENAI_MODEL"),
        ("OPENAI_KEY_FILE", "/none/key", "fault", "OPENAI_KEY_FILE"),
        ("OPENAI_URL", "{}/v2", "warning", "404"),
    ],
)
def test_failures_of_a_server_other_than_bedrock_are_reported(
    capsys, monkeypatch, other_server, name, value, level, text
):
    monkeypatch.setenv(PREFIX + name, value.format(other_server))
    _, lines = told(capsys)

    assert lines["server"][0] == level
    assert text in lines["server"][1]


def test_every_check_times_out_by_itself_if_nothing_answers(capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for name, value in {
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{port}",
            f"{PREFIX}ENDPOINT_URL": f"http://127.0.0.1:{port}",
            f"{PREFIX}IMAGE_S3_BUCKETS": "one,two,three",
            f"{PREFIX}IMAGE_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            f"{PREFIX}REDIS_URL": f"redis://:geheim@127.0.0.1:{port}/0",
            f"{PREFIX}POSTGRES_URL": f"postgresql://u:geheim@127.0.0.1:{port}/x",
        }.items():
            monkeypatch.setenv(name, value)
        connections = count_connections(monkeypatch)
        status, lines = told(capsys)

    assert status == 2
    levels = {subject: level for subject, (level, _) in lines.items()}
    assert levels["endpoint"] == levels["Redis"] == levels["PostgreSQL"] == "fault"
    assert levels["bucket one"] == levels["bucket three"] == "fault"
    assert levels["model"] == levels["identity"] == "warning"
    # Each of the SDK's clients would try five times.
    assert connections == {"bedrock": 1, "s3": 3, "sts": 1}


def count_connections(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the attempts of the SDK's clients, by service."""
    counted: Counter[str] = Counter()
    endpoint: Any = AioEndpoint
    send = endpoint._send

    async def counting(self: Any, request: Any) -> Any:
        counted[request.headers["Authorization"].decode().split("/")[3]] += 1
        return await send(self, request)

    monkeypatch.setattr(endpoint, "_send", counting)
    return counted


def test_a_model_scaled_to_zero_is_a_warning_and_not_waited_for(capsys, monkeypatch):
    monkeypatch.setattr("app.cli.doctor.model.CALL_SECONDS", 1)
    config = EmulatorConfig(region="us-west-2", cold_start_seconds=600)
    with serving(create_emulator(config)) as url:
        monkeypatch.setenv(f"{PREFIX}ENDPOINT_URL", url)
        status, lines = told(capsys, "--spend")

    assert lines["call with text"][0] == "warning"
    assert "python -m app warm" in lines["call with text"][1]
    assert status == 1


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_no_secret_is_shown(capsys, monkeypatch, tmp_path, more):
    (tmp_path / ".env").write_text(f"{PREFIX}OPENAI_KEY=geheim-1\n")
    for name, value in {
        f"{PREFIX}REDIS_URL": "redis://:geheim-2@127.0.0.1:9/0",
        f"{PREFIX}POSTGRES_URL": "postgresql://u:geheim-3@127.0.0.1:x/db",
        f"{PREFIX}OPENAI_URL": "http://u:geheim-4@127.0.0.1:9/v1",
        f"{PREFIX}OPENAI_MODEL": "m",
        f"{PREFIX}FALLBACKS": '[{"dialect": "openai"}]',
        f"{PREFIX}IMAGE_S3_ENDPOINT_URL": "http://u:geheim-5@127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "AKIDgeheim-6",
        "AWS_SECRET_ACCESS_KEY": "geheim-7",
    }.items():
        monkeypatch.setenv(name, value)

    main(["doctor", *more])
    text = capsys.readouterr().out

    assert "geheim" not in text
    assert f"{PREFIX}OPENAI_KEY from .env" in text
    assert f"{PREFIX}REDIS_URL from the environment" in text


def test_a_failed_start_points_to_the_doctor(capsys, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}PORT", "x")

    assert main(["serve"]) == 2
    assert "python -m app doctor" in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_that_fails_later_points_to_the_doctor_too(monkeypatch, workers):
    monkeypatch.setenv(f"{PREFIX}WORKERS", workers)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv(f"{PREFIX}PORT", str(taken.getsockname()[1]))
        run = subprocess.run(
            [sys.executable, "-m", "app", "serve"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert run.returncode != 0
    assert "can't listen" in run.stdout
    assert "python -m app doctor" in run.stderr


@pytest.mark.parametrize(("minutes", "level"), [(0, "ok"), (2, "warning"), (30, "fault")])
def test_a_wrong_clock_is_detected_by_the_endpoints_date(capsys, monkeypatch, minutes, level):
    async def endpoint(scope: Any, _: Any, send: Any) -> None:
        date = formatdate(time.time() - 60 * minutes, usegmt=True).encode()
        await send({"type": "http.response.start", "status": 404, "headers": [(b"date", date)]})
        await send({"type": "http.response.body", "body": b""})

    with serving(endpoint, date_header=False, lifespan="off") as url:
        monkeypatch.setenv(f"{PREFIX}ENDPOINT_URL", url)
        _, lines = told(capsys)

    assert lines["clock"][0] == level


def test_a_legacy_foundation_model_is_a_warning_that_says_what_to_do(capsys, monkeypatch):
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    foundation = "meta.llama3-2-11b-instruct-v1:0"
    config = EmulatorConfig(region="us-west-2", end_of_life={foundation: tomorrow})
    with serving(create_emulator(config)) as url:
        monkeypatch.setenv(f"{PREFIX}ENDPOINT_URL", url)
        monkeypatch.setenv(f"{PREFIX}MODEL_ID", foundation)
        _, lines = told(capsys)

    assert lines["model"][0] == "warning"
    assert "LEGACY" in lines["model"][1]
    assert "python -m app import" in lines["model"][1]


def test_a_database_without_its_library_is_a_warning(capsys, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}POSTGRES_URL", "postgresql://127.0.0.1:9/x")
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    _, lines = told(capsys)

    assert lines["PostgreSQL"][0] == "warning"
    assert "extra postgres" in lines["PostgreSQL"][1]
