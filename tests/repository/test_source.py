"""The sources are formatted, linted and typed; import contracts hold; the workflow is safe."""

import subprocess
from pathlib import Path

import pytest

from tests.support.programs.commands import beside_python

ROOT = Path(__file__).parents[2]


def run(*command: str) -> None:
    """Run a tool in the checkout; fail with its output."""
    done = subprocess.run(
        [beside_python(command[0]), *command[1:]],
        cwd=ROOT, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sources_are_formatted():
    run("ruff", "format", "--check", ".")


def test_the_sources_pass_the_linter():
    run("ruff", "check", ".")


# A cold run reads every module and the libraries' types while other tests run.
@pytest.mark.timeout(900)
def test_the_sources_pass_the_type_checker():
    run("mypy")


def test_the_import_contracts_hold():
    run("lint-imports")


def test_the_workflow_passes_its_security_linter():
    run("zizmor", "--offline", "--no-progress", "--pedantic", ".github")
