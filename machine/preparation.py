"""What the test suite needs: first it is said what can't be had, then the rest is installed."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from machine import browser, environment, newest, system, tools
from machine.errors import SetupError

REQUIREMENTS = environment.ROOT / "requirements" / "dev.txt"
REGISTRY = "network access to the package registries"
CHROMIUM = "chromium"
PACKAGES = "npm packages"
NEWEST = "newest releases"


def prepare(folder: Path) -> None:
    """Install everything that can be; write down what is missing and how to get it."""
    environment.create(folder)
    reached = _reached(folder)
    expected = dict(_expected(folder, registry=reached))
    _say(expected)
    _install_packages(folder)
    missing = dict(_install_tools(folder, registry=reached))
    _say({name: advice for name, advice in missing.items() if name not in expected})
    record(folder).write_text(json.dumps(missing))


def record(folder: Path) -> Path:
    """Return the file that names what is missing, with how to get it."""
    return folder / "missing.json"


def _reached(folder: Path) -> bool:
    """Ask the registry for a small package that is needed anyway."""
    with tempfile.TemporaryDirectory() as scratch:
        run = environment.pip(
            folder, "download", "--no-deps", "--no-cache-dir", "--retries", "0", "--timeout", "15",
            *("--only-binary", ":all:", "--dest", scratch, "--require-hashes"),
            *("-r", str(environment.BUILD)),
        )  # fmt: skip
    return run.returncode == 0


def _expected(folder: Path, *, registry: bool) -> Iterator[tuple[str, str]]:
    """Yield what is known to be missing before anything is installed."""
    if not registry:
        yield NEWEST, REGISTRY
        for tool in tools.TOOLS:
            if not (tools.program(folder, tool.name) or system.can_install()):
                yield tool.name, system.advice(tool.debian)
        if not browser.packages_installed():
            yield PACKAGES, REGISTRY
    unpackable = browser.carried() and (registry or browser.packages_installed())
    if not (unpackable or browser.program(folder) or system.can_install()):
        yield CHROMIUM, system.advice(CHROMIUM)


def _install_packages(folder: Path) -> None:
    stamp = folder / "dev.stamp"
    if stamp.exists() and stamp.stat().st_mtime >= REQUIREMENTS.stat().st_mtime:
        return
    try:
        environment.install(folder, REQUIREMENTS)
    except SetupError as problem:
        raise SetupError(f"{problem}\nNo test ran.") from None
    stamp.touch()


def _install_tools(folder: Path, *, registry: bool) -> Iterator[tuple[str, str]]:
    """Install them one after the other, and yield those that are missing with how to get them."""
    for tool in tools.TOOLS:
        if tools.current(folder, tool):
            continue
        _tell(f"Installing {tool.name}")
        if not tools.obtain(folder, tool, registry=registry):
            yield tool.name, system.advice(tool.debian)
    if not browser.packages_installed():
        _tell(f"Installing {PACKAGES}")
        if not browser.install_packages(folder):
            yield PACKAGES, REGISTRY
    if not browser.current(folder):
        _tell(f"Installing {CHROMIUM}")
        if not browser.obtain(folder):
            yield CHROMIUM, system.advice(CHROMIUM)
    if not (registry and newest.install(folder)):
        yield NEWEST, REGISTRY


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(missing: dict[str, str]) -> None:
    for name, advice in missing.items():
        _tell(f"Missing: {name}. Its tests will not run. Get it with: {advice}")
