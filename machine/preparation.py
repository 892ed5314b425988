"""Installs the test suite's needs, after saying which of them are not available."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from machine import browser, deployment, environment, image, newest, system, tools
from machine.errors import SetupError

REQUIREMENTS = environment.ROOT / "requirements" / "dev.txt"
REGISTRY = "network access to the package registries"
CHROMIUM = "chromium"
PACKAGES = "npm packages"
NEWEST = "newest releases"
IMAGE = "packages of the image"
DEPLOYMENT = "what checks the Helm chart and the templates for AWS"


def prepare(folder: Path) -> None:
    """Install everything available; write down the rest and how to get it."""
    environment.create(folder)
    reached = _reached(folder)
    expected = dict(_expected(folder, registry=reached))
    _say(expected)
    newest.forget(folder)
    _install_packages(folder)
    missing = dict(_install_tools(folder, registry=reached))
    _say({name: advice for name, advice in missing.items() if name not in expected})
    record(folder).write_text(json.dumps(missing))


def record(folder: Path) -> Path:
    """Return the file that names missing parts and how to get them."""
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
    """Yield the parts that are known to be missing before anything is installed."""
    if not registry:
        yield NEWEST, REGISTRY
        for tool in tools.TOOLS:
            if not (tools.program(folder, tool.name) or system.can_install()):
                yield tool.name, system.advice(tool.debian)
        if not browser.packages_installed():
            yield PACKAGES, REGISTRY
        if not image.current(folder):
            yield IMAGE, REGISTRY
        if not deployment.current(folder):
            yield DEPLOYMENT, REGISTRY
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


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    ready: Callable[[], bool]
    install: Callable[[], bool]
    advice: str
    after: tuple[str, ...] = ()
    """Names of the steps before it that it needs the results of."""


def _steps(folder: Path, *, registry: bool) -> Iterator[_Step]:
    for tool in tools.TOOLS:
        obtain = partial(tools.obtain, folder, tool, registry=registry)
        yield _Step(
            tool.name, partial(tools.current, folder, tool), obtain, system.advice(tool.debian)
        )
    packages = partial(browser.install_packages, folder)
    yield _Step(PACKAGES, browser.packages_installed, packages, REGISTRY, ("node",))
    chromium = partial(browser.current, folder), partial(browser.obtain, folder)
    yield _Step(CHROMIUM, *chromium, system.advice(CHROMIUM), (PACKAGES,))
    yield _Step(IMAGE, partial(image.current, folder), partial(image.install, folder), REGISTRY)
    checks = partial(deployment.current, folder), partial(deployment.install, folder)
    yield _Step(DEPLOYMENT, *checks, REGISTRY)
    # Newer ones may be out whenever the suite is run.
    newer = partial(newest.install, folder)
    yield _Step(NEWEST, lambda: False, lambda: registry and newer(), REGISTRY, ("node",))


def _install_tools(folder: Path, *, registry: bool) -> Iterator[tuple[str, str]]:
    """Install them side by side, and yield those that are missing with how to get them."""
    steps = [*_steps(folder, registry=registry)]
    jobs: dict[str, Future[bool]] = {}
    with ThreadPoolExecutor(len(steps)) as pool:
        for step in steps:
            jobs[step.name] = pool.submit(_install, step, [jobs[name] for name in step.after])
    for step in steps:
        if not jobs[step.name].result():
            yield step.name, step.advice


def _install(step: _Step, needed: Iterable[Future[bool]]) -> bool:
    wait(needed)
    if step.ready():
        return True
    _tell(f"Setting up: {step.name}")
    return step.install()


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(missing: dict[str, str]) -> None:
    for name, advice in missing.items():
        _tell(f"Missing: {name}. Its tests will not run. Get it with: {advice}")
