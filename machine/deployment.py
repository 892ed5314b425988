"""An environment of the checkers of the Helm chart and the AWS templates.

They are large, and nothing else needs them.
"""

import subprocess
from pathlib import Path

from machine import environment

REQUIREMENTS = environment.ROOT / "requirements" / "deploy.txt"


def folder_beside(environment_folder: Path) -> Path:
    """Return the folder of that environment."""
    return environment_folder.with_name(f"{environment_folder.name}-deploy")


def current(environment_folder: Path) -> bool:
    """Return whether the packages that the requirement file pins are installed."""
    stamp = _stamp(environment_folder)
    return stamp.exists() and stamp.stat().st_mtime >= REQUIREMENTS.stat().st_mtime


def install(environment_folder: Path) -> bool:
    """Install it, and return whether that worked."""
    folder = folder_beside(environment_folder)
    # They are large: uv, which the tests' environment has, takes a tenth of pip's time.
    uv = environment_folder / "bin" / "uv"
    pinned = ("--require-hashes", "--only-binary", ":all:", "-r", REQUIREMENTS)
    for command in (
        (uv, "venv", "--quiet", "--clear", "--python", environment.python(environment_folder)),
        (uv, "pip", "install", "--quiet", *pinned, "--python", environment.python(folder)),
    ):
        where = (folder,) if "venv" in command else ()
        if subprocess.run([*command, *where], capture_output=True, check=False).returncode:
            return False
    _stamp(environment_folder).touch()
    return True


def _stamp(environment_folder: Path) -> Path:
    return folder_beside(environment_folder) / "deploy.stamp"
