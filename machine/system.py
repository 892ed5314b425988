"""The system's package manager, where it asks for no password."""

import os
import shutil
import subprocess
import threading
from functools import cache

_ALONE = threading.Lock()
"""Held while apt-get runs: a second one would fail."""


@cache
def _prefix() -> list[str] | None:
    """Return what goes before ``apt-get``, or None where it can't be run without a password."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _quiet(["sudo", "-n", "true"]):
        return ["sudo", "-n"]
    return None


def can_install() -> bool:
    """Return whether `install` may work."""
    return _prefix() is not None


def install(*packages: str) -> bool:
    """Install Debian packages without a question; return whether they are there now."""
    prefix = _prefix()
    if prefix is None:
        return False
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    with _ALONE:
        _refresh(tuple(apt))
        return _quiet([*apt, "install", "--yes", "--no-install-recommends", *packages])


def advice(*packages: str) -> str:
    """Return a person's way to those packages."""
    return f"sudo apt-get install {' '.join(packages)}"


@cache
def _refresh(apt: tuple[str, ...]) -> None:
    _quiet([*apt, "update"])


def _quiet(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
