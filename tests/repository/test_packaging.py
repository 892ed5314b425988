"""Dockerfile, compose, Makefile, README and CI agree with the code and with each other."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import dev
from app.settings import PREFIX, Settings
from tests.support.programs.commands import beside_python

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
README = (ROOT / "README.md").read_text()
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
OURS = ("app", "bench", "fixtures", "machine", "tests")
GROUPS: dict[str, list[str]] = PYPROJECT["dependency-groups"]
INSTALLABLE: list[str] = [*PROJECT["dependencies"], *chain(*EXTRAS.values())]
PORT = Settings.model_fields["port"].default


def stage(name: str) -> str:
    """Return the Dockerfile's lines of one stage."""
    flags = re.MULTILINE | re.DOTALL
    match = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, flags)
    assert match, f"no stage {name}"
    return match[1]


def named(requirement: str) -> str:
    """Return the package that ``requirement`` names, spelled as in the requirement files."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~]", requirement)[0]).lower()


def test_the_dockerfile_passes_its_linter():
    run = subprocess.run(
        [beside_python("hadolint"), str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("name", "port", "path"),
    [("service", PORT, "/healthz"), ("emulator", dev.EMULATOR_PORT, "/_emulator/health")],
)
def test_each_image_exposes_and_checks_the_port_of_its_command(name, port, path):
    lines = stage(name)

    assert f"EXPOSE {port}\n" in lines
    assert f'CMD ["healthcheck", "{port}", "{path}"]' in lines
    assert lines.rstrip().splitlines()[-1].startswith("CMD [")


def test_the_images_run_without_root_and_contain_no_build_tools():
    assert "USER 10001" in stage("runtime")
    assert not re.search(r"gcc|build-essential", DOCKERFILE)
    # Debian's packages are installed in a stage of their own, from which files are copied.
    assert all("apt-get" not in stage(name) for name in ("runtime", "service", "emulator"))


def test_compose_builds_existing_stages_and_points_the_service_at_the_emulator():
    services = COMPOSE["services"]

    for service in services.values():
        # Services that are not built here use third-party images, in profiles of their own.
        assert "profiles" in service if "image" in service else stage(service["build"]["target"])
    environment = services["service"]["environment"]
    assert environment[f"{PREFIX}ENDPOINT_URL"] == f"http://emulator:{dev.EMULATOR_PORT}"
    assert services["service"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    settings = {name for name in environment if name.startswith(PREFIX)}
    assert settings <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_every_make_target_named_in_a_text_exists():
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    texts = [README, (ROOT / "CONTRIBUTING.md").read_text(), (ROOT / ".ci/run").read_text()]

    named = {name for text in texts for name in re.findall(r"\bmake ([a-z]+)(?![\w-])", text)}
    assert {"run", "test", "check"} <= named <= targets


def test_the_readmes_curl_uses_the_served_port():
    assert set(re.findall(r"localhost:(\d+)", README)) == {str(PORT)}


def test_python_versions_agree():
    matrix = WORKFLOW["jobs"]["check"]["strategy"]["matrix"]["python"]

    assert PROJECT["requires-python"] == f">={matrix[0]}"
    image = re.search(r"^FROM python:(\d+\.\d+)\.\d+-slim", DOCKERFILE, re.MULTILINE)
    assert image
    assert image[1] == matrix[-1]


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "bench/peers/litellm/requirements.txt"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_requirements_are_pinned_with_hashes_and_contain_no_address(path):
    text = path.read_text()

    assert "://" not in text
    assert "--index-url" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[^ ]+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_ci_runs_one_script_with_one_make_target():
    scripts = [
        step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step
    ]
    targets = re.findall(r"^exec make.* ([a-z]+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)

    assert [script for script in scripts if script.split()[-1] == ".ci/run"]
    assert targets == ["test"]


def test_pytest_is_the_last_command_of_make_test():
    recipe = MAKEFILE.split("\ntest:")[1].split("\n\n")[0]

    assert recipe.splitlines()[-1].strip() == "@$(PYTEST)"


def test_every_requirement_file_has_its_row():
    rows = re.findall(r"^\| `(\S+)`", (ROOT / "requirements/README.md").read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("extra", ["otel", "postgres"])
@pytest.mark.parametrize("name", ["service", "service-ocr", "emulator", "dev", "bench"])
def test_packages_that_a_setting_needs_are_in_the_requirement_files(name, extra):
    needed = EXTRAS[extra]
    installed = re.findall(
        r"^([\w.-]+)==", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE
    )

    assert needed
    assert {*map(named, needed)} <= {*installed}


def test_the_queue_needs_only_those_pgqueuer_dependencies_that_the_image_has():
    image = (ROOT / "requirements/service.txt").read_text()
    needed = {named(line) for line in requires("pgqueuer") or () if "extra ==" not in line}
    left_out = sorted(needed - {*re.findall(r"^([\w.-]+)==", image, re.MULTILINE)})
    program = f"import sys; sys.modules.update(dict.fromkeys({[*left_out, 'rich', 'click']}))"

    run = subprocess.run(
        [sys.executable, "-c", f"{program}; import app.adapters.queue.postgres.queue"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert left_out == ["tabulate", "typer"]
    assert run.returncode == 0, run.stderr


def imported(folder: str) -> Iterator[str]:
    """Yield the third-party packages that the modules in ``folder`` import."""
    # The newest releases and the checks of deploy/ have environments of their own.
    elsewhere = [ROOT / "tests" / name / "programs" for name in ("newest", "deploy")]
    for path in (ROOT / folder).rglob("*.py"):
        if any(path.is_relative_to(programs) for programs in elsewhere):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            packages = {module.partition(".")[0] for module in modules}
            yield from packages - {
                *sys.stdlib_module_names,
                "app",
                "bench",
                "fixtures",
                "machine",
                "tests",
            }


@pytest.mark.parametrize(
    ("folder", "group"), [("app", None), ("bench", "bench"), ("fixtures", "dev"), ("tests", "dev")]
)
def test_imported_packages_are_declared(folder, group):
    declared = {*map(named, [*INSTALLABLE, *(GROUPS[group] if group else ())])}
    brought_by = packages_distributions()

    assert not {
        package
        for package in imported(folder)
        # Stubs are only for the type checker.
        if not package.startswith("types_")
        # Packages that are not installed (plots, in CI) are looked up by their import name.
        and declared.isdisjoint(map(named, brought_by.get(package, [package])))
    }


def test_each_dependency_is_declared_once():
    declared = [named(each) for each in [*INSTALLABLE, *chain(*GROUPS.values())]]

    assert sorted(declared) == sorted({*declared})
