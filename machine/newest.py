"""An environment of the newest releases of callers' packages, which is why nothing is pinned."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from machine import browser, environment, tools

NAMES = environment.ROOT / "tests" / "newest" / "requirements.txt"
NPM_NAMES = environment.ROOT / "tests" / "newest" / "package.json"


def names() -> list[str]:
    """Return the names of the packages there, npm's behind ``npm:``."""
    javascript = json.loads(NPM_NAMES.read_text())["dependencies"]
    return re.findall(r"^[\w.-]+", NAMES.read_text(), re.MULTILINE) + [
        f"npm:{name}" for name in javascript
    ]


def folder_beside(environment_folder: Path) -> Path:
    """Return the folder of that environment."""
    return environment_folder.with_name(f"{environment_folder.name}-newest")


def python(environment_folder: Path) -> Path | None:
    """Return the interpreter: that of NEWEST_PYTHON, else of a complete environment, else None."""
    if said := os.environ.get("NEWEST_PYTHON"):
        return Path(said)
    folder = folder_beside(environment_folder)
    return environment.python(folder) if versions(environment_folder).exists() else None


def node_modules(environment_folder: Path) -> Path | None:
    """Return the folder of the npm packages where the environment is complete, else None."""
    folder = _javascript(environment_folder) / "node_modules"
    return folder if versions(environment_folder).exists() else None


def versions(environment_folder: Path) -> Path:
    """Return the file that says which releases are installed; it is there when they are."""
    return folder_beside(environment_folder) / "versions.txt"


def forget(environment_folder: Path) -> None:
    """Have the environment count as absent: its releases may no longer be the newest."""
    versions(environment_folder).unlink(missing_ok=True)


def install(environment_folder: Path) -> bool:
    """Install or upgrade to the newest releases, write down which, and return whether it worked."""
    forget(environment_folder)
    python = _install_python(environment_folder)
    javascript = _install_javascript(environment_folder)
    if python is None or javascript is None:
        return False
    versions(environment_folder).write_text(python + javascript)
    return True


def _install_python(environment_folder: Path) -> str | None:
    folder = folder_beside(environment_folder)
    environment.create(folder)
    upgrade = ("install", "--upgrade", "-r", str(NAMES))
    uv = environment_folder / "bin" / "uv"
    # A second instead of ten, where it reaches a registry: it does not read pip's configuration.
    if _fails(uv, "pip", *upgrade, "--python", environment.python(folder)):
        run = environment.pip(folder, *upgrade, "--upgrade-strategy", "eager")
        if run.returncode:
            return None
    frozen = subprocess.run(
        [environment.python(folder), "-m", "pip", "freeze"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return frozen.stdout


def _javascript(environment_folder: Path) -> Path:
    return folder_beside(environment_folder) / "javascript"


def _install_javascript(environment_folder: Path) -> str | None:
    node = tools.program(environment_folder, "node")
    if node is None:
        return None
    folder = _javascript(environment_folder)
    packages = folder / "node_modules"
    if not (packages.exists() and newest_there(_npm(node, folder, "outdated", "--json").stdout)):
        shutil.rmtree(
            folder, ignore_errors=True
        )  # npm keeps what is there and calls it the newest.
        folder.mkdir()
        shutil.copy(NPM_NAMES, folder)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
        if _npm(node, folder, "install", *options).returncode:
            return None
    return "".join(
        f"npm:{name}=={json.loads((packages / name / 'package.json').read_text())['version']}\n"
        for name in json.loads(NPM_NAMES.read_text())["dependencies"]
    )


def newest_there(outdated: str) -> bool:
    """Return by the output of ``npm outdated --json`` whether each package is the newest."""
    try:
        packages: dict[str, dict[str, str]] = json.loads(outdated)
    except json.JSONDecodeError:
        return False
    return "error" not in packages and all(
        package.get("current") == package["wanted"] for package in packages.values()
    )


def _npm(node: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*browser.npm(node), *arguments, "--prefix", folder],
        capture_output=True, text=True, check=False, env=browser.with_node(node),
    )  # fmt: skip


def _fails(*command: str | Path) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode != 0
    except OSError:
        return True
