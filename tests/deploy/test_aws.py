"""The AWS templates, checked by AWS's tools; nothing is deployed."""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fixtures.process import ROOT
from tests.support.programs.installed import deployment_programs
from tests.support.repository.templates import AWS, loaded

PROGRAM = Path(__file__).parent / "programs" / "aws.py"
EXPLAINED = {
    "StartRole: credentials_exposure: ecr:GetAuthorizationToken": (
        "The action knows no resources; the token pulls only what the statement beside it allows."
    ),
}
"""Risks that cloudsplaining reports, with the reason for each."""
NAMES = [str(path.relative_to(ROOT)) for path in AWS]


@cache
def _reports() -> dict[str, Any]:
    run = subprocess.run(
        [deployment_programs() / "python", PROGRAM, *AWS],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    reports: dict[str, Any] = json.loads(run.stdout)
    return reports


def skips(path: Path) -> Iterator[dict[str, str]]:
    """Yield the checks that checkov is told to skip."""
    for resource in loaded(path)["Resources"].values():
        yield from resource.get("Metadata", {}).get("checkov", {}).get("skip", ())


@pytest.mark.parametrize("path", AWS, ids=NAMES)
def test_every_template_is_valid_and_can_be_transformed(path):
    assert _reports()[str(path)]["lint"] == []


@pytest.mark.parametrize("path", AWS, ids=NAMES)
def test_policies_carry_no_unexplained_risk(path):
    assert {*_reports()[str(path)]["risks"]} <= {*EXPLAINED}


@pytest.mark.parametrize("path", AWS, ids=NAMES)
def test_every_skipped_check_has_a_reason(path):
    assert all(len(skip.get("comment", "")) > 20 for skip in skips(path))


@pytest.mark.long
@pytest.mark.parametrize("path", AWS, ids=NAMES)
def test_checkov_finds_nothing_unexplained(path):
    run = subprocess.run(
        [
            *(deployment_programs() / "checkov", "--skip-download", "--output", "json"),
            *("--framework", "cloudformation", "--file", path),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    results = json.loads(run.stdout)["results"]

    assert [f"{one['check_id']}: {one['resource']}" for one in results["failed_checks"]] == []
    assert len(results["passed_checks"]) > 20
    assert len(results["skipped_checks"]) == len([*skips(path)])
