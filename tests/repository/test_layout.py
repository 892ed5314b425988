"""The tests' tree: helpers are in tests/support, unit tests mirror their modules' paths."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository.file_scheduling import FileScheduling, pytest_xdist_make_scheduler

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"


def imports(folder: str) -> Iterator[tuple[Path, str]]:
    """Yield each file of a folder with each module or name that it imports."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((path, f"{node.module}.{alias.name}") for alias in node.names)


def test_no_helper_is_imported_from_a_test_file():
    assert [
        (str(path.relative_to(ROOT)), name)
        for path, name in imports("tests")
        if name.startswith("tests.")
        for part in name.split(".")[:-1]
        if part.startswith(("test_", "conftest"))
    ] == []


def test_test_folders_have_no_helper_modules_but_programs_and_what_needs_the_bench():
    strangers = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if not path.name.startswith(("test_", "conftest", "__init__"))
        and path.relative_to(TESTS).parts[0] not in ("support", "fuzz", "newest", "bench")
        and path.parent.name != "programs"
    ]
    assert strangers == []


def test_helpers_are_grouped_in_folders_of_at_most_a_dozen_files():
    support = TESTS / "support"
    rooms = sorted(path for path in support.iterdir() if (path / "__init__.py").exists())
    assert [path.name for path in support.glob("*.py")] == ["__init__.py"]
    assert rooms
    assert {
        room.name: len(files)
        for room in rooms
        for files in [[path for path in room.glob("*.py") if path.name != "__init__.py"]]
        if not 0 < len(files) <= 12
    } == {}


def test_bench_and_tests_share_only_fixtures_and_the_tests_of_the_bench():
    forbidden = {
        "bench": ("tests.",),
        "tests": ("bench.",),
        "fixtures": ("app.", "bench.", "tests."),
    }
    assert [
        (str(path.relative_to(ROOT)), name)
        for folder, packages in forbidden.items()
        for path, name in imports(folder)
        if f"{name}.".startswith(packages) and not path.is_relative_to(TESTS / "bench")
    ] == []


def exists(module: Path) -> bool:
    return module.is_dir() or module.with_suffix(".py").exists()


def test_every_unit_test_mirrors_the_path_of_its_module():
    """A file has its module's or package's name, and perhaps a topic: ``test_retry_budget``."""
    unit = TESTS / "unit"
    paths = sorted(unit.rglob("test_*.py"))
    strangers = []
    for path in paths:
        room = ROOT / "app" / path.parent.relative_to(unit)
        words = path.stem.split("_")[1:]
        if not any(exists(room / "_".join(words[:n])) for n in range(1, len(words) + 1)):
            strangers.append(str(path.relative_to(ROOT)))

    assert paths
    assert strangers == []


def test_one_process_runs_a_file_or_a_group_of_files(pytestconfig, monkeypatch):
    monkeypatch.setattr(pytestconfig.option, "dist", "loadgroup")
    monkeypatch.setattr(pytestconfig.option, "tx", ["popen"])
    scheduling = pytest_xdist_make_scheduler(pytestconfig, None)
    assert isinstance(scheduling, FileScheduling)

    names = ("test_a.py::test_one", "test_a.py::test_two[x@y]", "test_a.py::test_three@postgres")
    assert [scheduling._split_scope(f"tests/{name}") for name in names] == [
        "tests/test_a.py", "tests/test_a.py", "postgres",
    ]  # fmt: skip
