"""Drives the emulator with the newest boto3 from an environment of its own; see README.md."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.emulator.config import EmulatorConfig
from tests.support.emulator.bodies import plain
from tests.support.emulator.serving import serving

HERE = Path(__file__).parent
SHAPES = HERE.parent / "data" / "aws-shapes.json"


def run(newest: Path, script: str, *arguments: str) -> str:
    """Run a script of this folder with that Python and return its output."""
    ended = subprocess.run(
        [newest, str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"},
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def told(newest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the output of each step."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "orchard.md").write_text("The orchard sells cider.")
    (folder / "red.png").write_bytes(plain())
    config = EmulatorConfig(
        import_seconds=0.2, read_words=False, knowledge_bases={"KNOWLEDGE1": str(folder)}
    )
    with serving(config) as served:
        lines = run(newest, "drive.py", served.url).splitlines()
    return {line["step"]: line["told"] for line in map(json.loads, lines)}


def test_the_newest_sdk_is_at_least_the_version_of_the_stored_shapes(told: dict[str, Any]) -> None:
    pinned = json.loads(SHAPES.read_text())["botocore"]

    def number(version: str) -> list[int]:
        return [int(part) for part in version.split(".")]

    assert number(told["versions"]["botocore"]) >= number(pinned)


def test_a_model_is_imported_and_found(told: dict[str, Any]) -> None:
    assert told["imports"] == {"status": "Completed", "listed": 1}
    expected = {"units": 2, "version": "v1.0", "instruct": True, "listed": ["newest"]}
    assert told["models"] == expected


def test_a_chat_about_three_pictures_is_answered_plain_and_streamed(told: dict[str, Any]) -> None:
    assert told["chat"] == {"object": True, "scored": True, "pictures_counted": True}
    assert told["stream"] == {"reason": "stop", "usage": True}
    assert told["completions"] == ["generation", "text_completion"]


def test_refusals_are_typed_exceptions_of_the_sdk(told: dict[str, Any]) -> None:
    assert told["refusals"] == [
        "ValidationException",
        "ModelNotReadyException",
        "ResourceNotFoundException",
    ]
    assert told["deletes"] == "ResourceNotFoundException"


def test_texts_are_scored_and_documents_retrieved(told: dict[str, Any]) -> None:
    assert told["checks"] == [True, "EMAIL"]
    assert told["retrieves"] == ["TEXT", "IMAGE"]


def test_the_newest_sdk_requires_the_same_members_as_the_stored_shapes(newest: Path) -> None:
    shapes = json.loads(run(newest, "service_shapes.py"))
    kept = json.loads(SHAPES.read_text())
    if shapes["botocore"] == kept["botocore"]:
        assert shapes == kept
    changed = [
        f"{service}.{name}"
        for service, model in kept["services"].items()
        for name, shape in model["shapes"].items()
        if shapes["services"][service]["shapes"].get(name, {}).get("required", [])
        != shape.get("required", [])
    ]
    # A newer SDK may have more members; required ones must still be required.
    assert changed == []
