"""An environment of the newest releases of what callers bring, unpinned by its purpose."""

import os
import re
import subprocess
from pathlib import Path

from machine import environment

NAMES = environment.ROOT / "tests" / "newest" / "requirements.txt"


def names() -> list[str]:
    """Return what is installed there by name."""
    return re.findall(r"^[\w.-]+", NAMES.read_text(), re.MULTILINE)


def folder_beside(environment_folder: Path) -> Path:
    """Return the folder of that environment."""
    return environment_folder.with_name(f"{environment_folder.name}-newest")


def python(environment_folder: Path) -> Path | None:
    """Return the interpreter: that of NEWEST_PYTHON, else of a complete environment, else None."""
    if said := os.environ.get("NEWEST_PYTHON"):
        return Path(said)
    folder = folder_beside(environment_folder)
    return environment.python(folder) if versions(environment_folder).exists() else None


def versions(environment_folder: Path) -> Path:
    """Return the file that says which releases are installed; it is there when they are."""
    return folder_beside(environment_folder) / "versions.txt"


def forget(environment_folder: Path) -> None:
    """Have the environment count as absent: what is in it may no longer be the newest."""
    versions(environment_folder).unlink(missing_ok=True)


def install(environment_folder: Path) -> bool:
    """Install or upgrade to the newest releases, and write down which; tell whether it worked."""
    folder = folder_beside(environment_folder)
    record = versions(environment_folder)
    forget(environment_folder)
    environment.create(folder)
    run = environment.pip(
        folder, "install", "--upgrade", "--upgrade-strategy", "eager", "-r", str(NAMES)
    )
    if run.returncode:
        return False
    frozen = subprocess.run(
        [environment.python(folder), "-m", "pip", "freeze"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    record.write_text(frozen.stdout)
    return True
