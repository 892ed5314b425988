"""A Python client generated from openapi/openapi.json: it type-checks and its calls work."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

SPEC = Path(__file__).parents[2] / "openapi" / "openapi.json"
PACKAGE = "llama_vision_on_bedrock_client"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate the client and return the folder that its package is in."""
    folder = tmp_path_factory.mktemp("generated")
    config = folder / "config.yaml"
    config.write_text("post_hooks: []\n")
    run = subprocess.run(
        [
            str(Path(sys.executable).parent / "openapi-python-client"),
            *("generate", "--path", str(SPEC), "--output-path", str(folder / "client")),
            *("--config", str(config), "--fail-on-warning"),
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "client"


def test_the_generated_client_type_checks(generated):
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", PACKAGE],
        cwd=generated,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert run.returncode == 0, run.stdout[-4000:]


@pytest.fixture
def client(generated: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(generated)
    return importlib.import_module(PACKAGE)


def test_a_call_of_the_generated_client_is_answered(client):
    models = importlib.import_module(f"{PACKAGE}.models")
    call = importlib.import_module(f"{PACKAGE}.api.generate.generate")
    body = models.GenerateIn(prompt="Why?", images=[b64(ASTRONAUT)])

    with serving(Rig().app()) as url, client.Client(base_url=url) as connected:
        answer = call.sync(client=connected, body=body)

    assert isinstance(answer, models.GenerationOut)
    assert answer.generation == "[fake 1 image(s)] Why?"
    assert answer.stop_reason == models.StopReason.STOP
    assert answer.images[0].width == 512


def test_an_error_reaches_the_generated_client_as_its_own_type(client):
    models = importlib.import_module(f"{PACKAGE}.models")
    call = importlib.import_module(f"{PACKAGE}.api.generate.generate")

    with serving(Rig().app()) as url, client.Client(base_url=url) as connected:
        answer = call.sync(client=connected, body=models.GenerateIn())

    assert answer.code == "prompt_missing"
