"""The machine setup reports what is missing, first and last, and fails."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from fixtures.process import ROOT
from machine import audit, newest, preparation, system, tools

UNREACHED = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_RETRIES": "0",
}


def test_a_run_without_a_needed_program_fails_and_lists_the_suites_that_did_not_run(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.support.programs.missing"]\n')
    (tmp_path / "test_with_it.py").write_text(
        "from tests.support.programs.installed import lack\n\n"
        "def test_other():\n    pass\n\ndef test_one():\n    lack('a browser')\n"
    )

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    *_, last = run.stdout.strip().splitlines()
    assert run.returncode == 1, run.stdout
    assert "Not run: test_with_it.py (1). Missing: a browser. Get it with: " in run.stdout
    assert re.fullmatch(r"=+ 1 passed, 1 skipped in .* =+", last)


def test_without_a_registry_the_first_line_says_so_and_no_test_runs(tmp_path):
    with_pip(tmp_path / "environment")
    run = subprocess.run(
        [sys.executable, "-m", "machine", "tests", str(tmp_path / "environment")],
        cwd=ROOT, capture_output=True, text=True, timeout=100, env={**os.environ, **UNREACHED},
    )  # fmt: skip

    assert run.returncode == 1
    assert run.stdout.splitlines()[0] == (
        "Missing: newest releases. Its tests will not run. "
        "Get it with: network access to the package registries"
    )
    assert run.stderr.endswith("No test ran.\n")


def with_pip(folder: Path) -> None:
    """Create an environment with only pip, without unpacking pip."""
    venv.create(folder)
    source = importlib.util.find_spec("pip")
    assert source is not None
    assert source.origin is not None
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "pip").symlink_to(Path(source.origin).parent)


def test_ctrl_c_ends_the_set_up_without_a_traceback(tmp_path):
    with_pip(tmp_path / "environment")
    with socket.create_server(("127.0.0.1", 0)) as registry:
        silent = f"http://127.0.0.1:{registry.getsockname()[1]}/"
        arguments = ("environment", str(tmp_path / "environment"), "requirements/build.txt")
        process = subprocess.Popen(
            [sys.executable, "-m", "machine", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **UNREACHED, "PIP_INDEX_URL": silent, "PIP_NO_CACHE_DIR": "1"},
            # A terminal sends it to every process of the group.
            process_group=0,
        )  # fmt: skip
        registry.settimeout(60)
        connection, _ = registry.accept()
        with connection:
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)

    assert said == "\nInterrupted; the same command goes on from here.\n"
    assert process.returncode == 128 + signal.SIGINT


def test_programs_that_need_a_password_to_install_are_listed_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "can_install", lambda: False)
    monkeypatch.setattr(tools, "_of_system", lambda _: None)

    missing = dict(preparation._expected(tmp_path, registry=False))

    assert {tool.name for tool in tools.TOOLS} <= missing.keys()
    assert missing["redis-server"] == "sudo apt-get install redis-server"
    assert (
        not {"redis-server", "node"} & dict(preparation._expected(tmp_path, registry=True)).keys()
    )


def test_a_program_that_is_a_symbolic_link_keeps_its_own_name(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "check").write_text("")
    (folder / "server").symlink_to("check")
    monkeypatch.setattr("machine.tools.shutil.which", lambda name: str(folder / name))

    assert tools._of_system("server") == folder / "server"


@pytest.mark.parametrize(
    ("outdated", "kept"),
    [
        ("{}", True),
        # The tag "latest" can point to an earlier release line.
        ('{"ai": {"current": "7.1.0", "wanted": "7.1.0", "latest": "6.9.0"}}', True),
        ('{"ai": {"current": "7.1.0", "wanted": "7.2.0", "latest": "7.2.0"}}', False),
        ('{"ai": {"wanted": "7.2.0", "latest": "7.2.0"}}', False),
        ('{"error": {"code": "ECONNREFUSED", "summary": "no registry"}}', False),
        ("", False),
    ],
)
def test_npm_packages_are_kept_if_each_is_the_newest(outdated, kept):
    assert newest.newest_there(outdated) is kept


def test_every_tool_is_pinned():
    assert all("--hash=sha256:" in tools._pin(tool) for tool in tools.TOOLS)


@pytest.mark.parametrize(
    ("packages", "said", "known"),
    [
        ([{"name": "a", "skip_reason": "not found"}], audit.SKIPPED, False),
        ([{"name": "a", "version": "1", "vulns": []}], "Audited 1 of 1 packages.", False),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}],
            "a 1: CVE-1, mended in 2",
            True,
        ),
    ],
)
def test_an_audit_distinguishes_a_missing_database_from_no_vulnerability(packages, said, known):
    lines, vulnerable = audit.verdict(json.dumps({"dependencies": packages}))

    assert (lines[0], vulnerable) == (said, known)


def test_no_file_names_the_host_of_a_package_registry():
    hosts = ("pypi." + "org", "pythonhosted." + "org", "npmjs." + "org", "deb.debian." + "org")
    made = {".git", "node_modules", "__pycache__", "results", ".hypothesis"}

    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in made and not name.startswith(".venv")]
        for name in names:
            if name not in ("sbom.json", ".git"):
                data = (Path(folder) / name).read_bytes()
                assert not any(host.encode() in data for host in hosts), name
