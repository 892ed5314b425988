"""Packages of the npm registry for tests: generators of clients, and a browser inside one."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from machine import system, tools
from machine.environment import ROOT

CLIENTS = ROOT / "tests" / "clients"
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/font-cache</cachedir></fontconfig>
"""
_DEBIAN = "/usr/bin/chromium"


def packages_installed() -> bool:
    """Return whether the packages that the lock file names are installed."""
    return _stamp().exists()


def install_packages(environment_folder: Path) -> bool:
    """Install what tests/clients pins; return whether it is there."""
    node = tools.program(environment_folder, "node")
    if node is None:
        return False
    run = subprocess.run(
        [*npm(node), "ci", "--prefix", CLIENTS, "--no-audit", "--no-fund"],
        capture_output=True, check=False, env=with_node(node),
    )  # fmt: skip
    if run.returncode == 0:
        _stamp().touch()
        # It came from the packages that were there before.
        shutil.rmtree(tools.folder_of(environment_folder, "chromium"), ignore_errors=True)
    return run.returncode == 0


def obtain(environment_folder: Path) -> bool:
    """Unpack the npm package's browser, else install the system's; return whether it is there."""
    if carried() and packages_installed() and _unpack(environment_folder):
        return True
    if _of_system():
        return True
    return system.install("chromium", "fonts-dejavu-core") and _of_system() is not None


def current(environment_folder: Path) -> bool:
    """Return whether the npm package's browser is unpacked."""
    return _command(environment_folder).exists()


def program(environment_folder: Path) -> Path | None:
    """Return the command that starts it, or None."""
    return _command(environment_folder) if current(environment_folder) else _of_system()


def carried() -> bool:
    """Return whether the npm package's browser is one for this machine."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def _command(environment_folder: Path) -> Path:
    return tools.folder_of(environment_folder, "chromium") / "run"


def _of_system() -> Path | None:
    # Ubuntu's command of that name installs another package when it is run: not a browser.
    path = shutil.which("chromium") or shutil.which("google-chrome") or _DEBIAN
    return Path(path) if Path(path).exists() else None


def _unpack(environment_folder: Path) -> bool:
    folder = tools.folder_of(environment_folder, "chromium").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    node = tools.program(environment_folder, "node")
    run = subprocess.run(
        [str(node), CLIENTS / "unpack-browser.mjs"],
        capture_output=True, check=False, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    if run.returncode:
        shutil.rmtree(folder)
        return False
    (folder / "fonts.conf").write_text(_FONTS.format(folder=folder))
    command = _command(environment_folder)
    command.write_text(
        "#!/bin/sh\n"
        f"LD_LIBRARY_PATH='{folder}/al2023/lib' FONTCONFIG_FILE='{folder}/fonts.conf' "
        f"exec '{folder}/chromium' \"$@\"\n"
    )
    command.chmod(0o755)
    return True


def _stamp() -> Path:
    lock = hashlib.sha256((CLIENTS / "package-lock.json").read_bytes()).hexdigest()
    return CLIENTS / "node_modules" / f".{lock}"


def npm(node: Path) -> list[str | Path]:
    """Return the command that runs npm: the one beside ``node``, else the system's."""
    bundled = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [node, bundled] if bundled.exists() else ["npm"]


def with_node(node: Path) -> dict[str, str]:
    """Return this environment with ``node`` on its path."""
    # Scripts of packages start ``node`` by its name.
    return {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
