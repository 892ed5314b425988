"""docs/emulator.md has a row for every flag, fault, operation and endpoint."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.emulator.__main__ import parser
from app.emulator.batch import job as batch_job
from app.emulator.control import import_jobs
from app.emulator.faults import spelling
from app.emulator.inference import OPERATIONS
from tests.support.emulator.serving import OPENED

DOCS = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
ROWS = [line for line in DOCS.splitlines() if line.startswith("| ")]


def rows_of(code: str) -> list[str]:
    """Return the table rows whose first cell contains ``code``."""
    return [row for row in ROWS if f"`{code}`" in row.split(" | ")[0]]


def test_every_flag_has_its_row_with_its_variable() -> None:
    flags = {
        option
        for action in parser()._actions
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-") and option != "--help"
    }
    documented = {row.split("`")[1]: row for row in ROWS if row.startswith("| `--")}
    assert documented.keys() == flags
    for flag, row in documented.items():
        assert f"`EMULATOR_{flag[2:].upper().replace('-', '_')}`" in row


def test_every_fault_has_its_row() -> None:
    delays = [f"{name}-Nms" for name in ("first-token", "token", "drip")]
    names = [
        *spelling.EXCEPTIONS,
        *spelling.GATEWAY_REPLIES,
        *spelling.BREAKS,
        *spelling.PACES,
        *delays,
    ]
    assert [name for name in names if len(rows_of(name)) != 1] == []


def test_every_exceptions_row_has_its_status_and_type() -> None:
    for name, kind in spelling.EXCEPTIONS.items():
        (row,) = rows_of(name)
        assert f"{kind.status} {kind.name}" in row


@pytest.mark.parametrize("name", re.findall(r"`([a-z][a-z-]*-(?:N|X)[^`]*)`", DOCS))
def test_every_fault_in_the_docs_exists(name: str) -> None:
    spelled = name.replace("frame-X", "frame-throttle").replace("N", "3")
    assert spelling.parsed(spelled).spelled == spelled


def test_every_operation_has_its_row() -> None:
    for path, operation in OPERATIONS.items():
        assert any(row.startswith(f"| {operation.name} | `POST /model/") for row in ROWS)
        assert f"`POST /model/{{modelId}}/{path}`" in DOCS


def test_every_failure_of_an_import_has_its_row() -> None:
    assert [name for name in import_jobs.FAILURES if len(rows_of(name)) != 1] == []


def test_every_final_state_of_a_batch_job_has_its_row() -> None:
    parts = [*batch_job.ENDS, batch_job.RECORD_ERRORS]
    assert [part for part in parts if len(rows_of(part)) != 1] == []


def test_the_three_line_example_works(emulator: Any) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 3
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:9100", emulator.url), names)
    OPENED.append(names["bedrock"])
    answer = json.loads(names["reply"]["body"].read())
    assert answer["generation"] == '[emulator] No picture came with this. You asked: "Hi".'
    assert answer["prompt_token_count"] == 1
