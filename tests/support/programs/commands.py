"""Command-line tools of the environment that runs the tests."""

import sys
from pathlib import Path


def beside_python(name: str) -> str:
    """Return the path of a tool installed with the tests, on the search path or not."""
    return str(Path(sys.executable).parent / name)
