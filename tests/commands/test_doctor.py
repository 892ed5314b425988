"""``python -m app doctor``: each line, good and bad, in front of real servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.__main__ import main
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import PREFIX
from tests.support.identity_provider import identity_provider
from tests.support.postgres import PostgresServer
from tests.support.s3 import make_bucket, s3_client
from tests.support.server import serving

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
    """Return the exit status, and level and text by subject."""
    status = main(["doctor", "--json", *more])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return status, {
        finding["subject"]: (finding["level"], f"{finding['message']} {finding['mend']}")
        for finding in findings
    }


def test_a_service_that_is_well_is_told_so_line_by_line(capsys):
    assert main(["doctor"]) == 0

    text = capsys.readouterr().out
    assert text.endswith("checks\n")
    assert "0 fault(s), 0 warning(s)" in text


def test_the_good_lines(capsys):
    status, lines = told(capsys, "--spend")

    assert {subject: line for subject, line in lines.items() if line[0] != "ok"} == {}
    assert status == 0
    assert lines.keys() == {
        "Python", "packages", "setting", "endpoint", "clock", "credentials", "identity", "target",
        "model", "call with text", "call with a picture",
    }  # fmt: skip
    assert "2 Custom Model Units a copy" in lines["model"][1]
    assert "tokens in" in lines["call with a picture"][1]


@pytest.mark.parametrize(
    ("name", "value", "subject", "level", "text"),
    [
        (f"{PREFIX}PORT", "x", "settings", "fault", f"{PREFIX}PORT"),
        (f"{PREFIX}ENDPOINT_URL", "http://127.0.0.1:9", "endpoint", "fault", "not reached"),
        ("AWS_ACCESS_KEY_ID", "", "credentials", "fault", "yields none"),
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
def test_each_bad_line_says_what_mends_it(capsys, monkeypatch, name, value, subject, level, text):
    monkeypatch.setenv(name, value)

    _, lines = told(capsys)

    assert lines[subject][0] == level
    assert text in lines[subject][1]


def test_a_usage_file_that_can_not_be_written_is_a_fault(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv(f"{PREFIX}USAGE_STORE", "sqlite")
    _, good = told(capsys)
    monkeypatch.setenv(f"{PREFIX}USAGE_FILE", str(tmp_path / "none" / "usage.sqlite3"))
    status, bad = told(capsys)

    assert good[f"{PREFIX}USAGE_FILE"][0] == "ok"
    assert (status, bad[f"{PREFIX}USAGE_FILE"][0]) == (2, "fault")


def test_whose_the_credentials_are_is_asked_of_sts(capsys, monkeypatch, s3_url):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_url)

    main(["doctor"])

    assert "ok       identity: arn:aws:sts::" in capsys.readouterr().out


def test_stores_that_are_there_are_named_and_their_passwords_are_not(
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


def test_every_start_that_fails_points_to_it(capsys, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}PORT", "x")

    assert main(["serve"]) == 2
    assert "python -m app doctor" in capsys.readouterr().err
