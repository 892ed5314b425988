"""Checks of Python and the packages."""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from app.domain.finding import Finding, fault, ok

PACKAGES = ("fastapi", "uvicorn", "aioboto3", "botocore", "pydantic", "pillow", "pyvips-binary")
"""Packages whose versions a bug report needs."""
OLDEST = (3, 11)


def check() -> Iterator[Finding]:
    """Yield a finding for Python and one for the packages."""
    shown = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        yield fault("Python", f"is {shown}", "Use Python 3.11 or newer.")
    else:
        yield ok("Python", shown)
    try:
        installed = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    except PackageNotFoundError as error:
        yield fault("packages", f"{error.name} is not installed", "Run make serve, or install it.")
    else:
        yield ok("packages", installed)
