"""``python -m app import`` and ``models``: S3 and the emulator's control plane, on sockets."""

import json
import uuid
from collections.abc import Iterator

import pytest

from app.__main__ import main
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import PREFIX
from tests.support.model.files import CONFIG, model_files
from tests.support.servers.s3 import make_bucket, s3_client
from tests.support.servers.uvicorn import serving

ROLE = "arn:aws:iam::123456789012:role/import"


@pytest.fixture
def control_plane(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    config = EmulatorConfig(region="us-west-2", import_seconds=0.3, imported_models={})
    with serving(create_emulator(config)) as url:
        monkeypatch.setenv(f"{PREFIX}ENDPOINT_URL", url)
        monkeypatch.setenv(f"{PREFIX}REGION", "us-west-2")
        yield url


@pytest.fixture
def uploaded(s3_url: str) -> str:
    """Upload a valid folder of weights and return its prefix."""
    return upload(s3_url, model_files())


def upload(s3_url: str, files: dict[str, str], folder: str = "llama") -> str:
    client, bucket = s3_client(s3_url), f"weights-{uuid.uuid4().hex[:8]}"
    make_bucket(client, bucket)
    for name, text in files.items():
        client.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=text.encode())
    return f"s3://{bucket}/{folder}/"


def command(s3_url: str, source: str, *more: str) -> int:
    return main(["import", source, "--s3-endpoint-url", s3_url, "--every", "0.1", *more])


def test_weights_in_a_bucket_become_a_model_and_its_settings_are_printed(
    control_plane, s3_url, uploaded, capsys
):
    assert command(s3_url, uploaded, "--role", ROLE) == 0

    told = capsys.readouterr().out
    assert "in progress" in told
    settings = dict(
        line.removeprefix("export ").split("=", 1)
        for line in told.splitlines()
        if line.startswith("export ")
    )
    assert settings[f"{PREFIX}REGION"] == "us-west-2"
    assert ":imported-model/" in settings[f"{PREFIX}MODEL_ID"]
    assert settings[f"{PREFIX}BASE_MODEL"] == "llama3-2-11b"


def test_running_the_same_command_again_resumes_its_job(control_plane, s3_url, uploaded, capsys):
    command(s3_url, uploaded, "--role", ROLE)
    command(s3_url, uploaded, "--role", ROLE)
    capsys.readouterr()

    assert main(["models"]) == 0
    assert "Import jobs: 1\n" in capsys.readouterr().out


def test_a_failed_import_is_reported_with_its_reason_and_can_be_retried(
    control_plane, s3_url, capsys
):
    source = upload(s3_url, model_files(), "no-access")

    assert command(s3_url, source, "--role", ROLE) == 1
    assert "could not read the model files" in capsys.readouterr().out
    assert command(s3_url, source, "--role", ROLE) == 1
    capsys.readouterr()

    main(["models"])
    assert "Import jobs: 2\n" in capsys.readouterr().out


@pytest.mark.parametrize("more", [("--role", ROLE), ("--dry-run",)])
def test_files_that_would_fail_to_import_start_no_job(control_plane, s3_url, capsys, more):
    files = {**model_files(), "config.json": json.dumps({**CONFIG, "architectures": ["Other"]})}

    assert command(s3_url, upload(s3_url, files), *more) == 1
    assert "FAULT    config.json" in capsys.readouterr().out
    main(["models"])
    assert "Import jobs: none" in capsys.readouterr().out


def test_a_dry_run_checks_the_files_and_imports_nothing(control_plane, s3_url, uploaded, capsys):
    assert command(s3_url, uploaded, "--dry-run") == 0
    assert "--dry-run only checks" in capsys.readouterr().out
    main(["models"])
    assert "Imported models in us-west-2: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "more", "told"),
    [
        ("https://bucket/llama", (), "source: is not s3://bucket/prefix/"),
        ("s3://nobodys-bucket/llama", ("--dry-run",), "HeadBucket: 404"),
    ],
)
def test_an_unreadable_file_is_reported_in_one_line(
    control_plane, s3_url, capsys, source, more, told
):
    assert command(s3_url, source, *more) > 0
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_model_is_deleted_only_after_its_name_is_typed(
    control_plane, s3_url, uploaded, capsys, monkeypatch, tmp_path, confirmed
):
    command(s3_url, uploaded, "--role", ROLE)
    typed = tmp_path / "typed"
    typed.write_text("llama-3-2-11b-vision\n" if confirmed else "yes\n")
    with typed.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["models", "delete", "llama-3-2-11b-vision"]) == (0 if confirmed else 1)
    capsys.readouterr()

    main(["models", "list"])
    told = capsys.readouterr().out
    assert ("none" if confirmed else "2 Custom Model Units a copy") in told.partition("Import")[2]
