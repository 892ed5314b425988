"""The machine and the versions that a benchmark ran with."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench import process

PACKAGES = ("fastapi", "uvicorn", "uvloop", "pydantic", "orjson", "aioboto3", "aiohttp", "pyvips")


def description() -> dict[str, str]:
    """Return the facts that readers of the figures need, by name."""
    return {
        "CPU": _cpu(),
        "cores": str(len(process.cores())),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "commit": _commit(),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "not known"
