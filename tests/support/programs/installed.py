"""Programs that tests start, as `make test` has installed them; without them tests are skipped.

A run with such a skip ends with an error: see tests/conftest.py.
"""

import json
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from machine import browser, deployment, image, newest, preparation, tools

ENVIRONMENT = Path(sys.prefix)
MARK = "missing: "


def program(name: str) -> Path:
    """Return the path of the program, or skip the test."""
    return tools.program(ENVIRONMENT, name) or lack(name)


def chromium() -> Path:
    """Return the command that starts Chromium, or skip the test."""
    return browser.program(ENVIRONMENT) or lack(preparation.CHROMIUM)


def npm_packages() -> Path:
    """Return the folder of the npm packages that tests/clients pins, or skip the test."""
    if not browser.packages_installed():
        lack(preparation.PACKAGES)
    return browser.CLIENTS / "node_modules"


def newest_python() -> Path:
    """Return the interpreter with the newest releases of tests/newest, or skip the test."""
    python = newest.python(ENVIRONMENT)
    return python or lack(preparation.NEWEST)


def newest_node_modules() -> Path:
    """Return the folder of the newest npm packages of tests/newest, or skip the test."""
    return newest.node_modules(ENVIRONMENT) or lack(preparation.NEWEST)


def image_packages() -> Path:
    """Return the folder with the packages of the image, or skip the test."""
    if not image.current(ENVIRONMENT):
        lack(preparation.IMAGE)
    return image.folder_beside(ENVIRONMENT)


def deployment_programs() -> Path:
    """Return the folder of the programs that check deploy/, or skip the test."""
    if not deployment.current(ENVIRONMENT):
        lack(preparation.DEPLOYMENT)
    return deployment.folder_beside(ENVIRONMENT) / "bin"


def lack(name: str) -> NoReturn:
    """Skip the test because ``name`` is missing, and say how to get it."""
    record = preparation.record(ENVIRONMENT)
    missing = json.loads(record.read_text()) if record.exists() else {}
    pytest.skip(f"{MARK}{name}. Get it with: {missing.get(name, 'make test')}")
