"""Runs programs of tests/newest with the newest releases and a clean environment."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.process import ROOT
from tests.support.programs.installed import newest_node_modules, newest_python, program

PROGRAMS = ROOT / "tests" / "newest" / "programs"
Answers = Callable[..., dict[str, Any]]
"""Runs a program by its file name with arguments, and returns its output parsed as JSON."""


def answers(name: str, *arguments: str, folder: Path, **variables: str) -> dict[str, Any]:
    """Run a program; one in JavaScript from ``folder``, which gets the packages beside it.

    ``variables`` are added to its environment.
    """
    path = PROGRAMS / name
    if path.suffix == ".py":
        command = newest_python()
    else:
        command = program("node")
        modules = folder / "node_modules"
        if not modules.exists():
            modules.symlink_to(newest_node_modules())
        # Node looks for packages beside the program.
        path = folder / name
        path.write_bytes((PROGRAMS / name).read_bytes())
    run = subprocess.run(
        [command, path, *arguments], capture_output=True, text=True, timeout=100,
        env={"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", **variables},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said: dict[str, Any] = json.loads(run.stdout)
    return said
