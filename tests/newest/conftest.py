"""The service on a socket, and the environment with the newest releases of what callers bring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app import Rig
from tests.support.programs import newest_python
from tests.support.server import serving


@pytest.fixture(scope="session")
def newest() -> Path:
    """Return that environment's interpreter; without it the test does not run."""
    return newest_python()


@pytest.fixture
def service_url() -> Iterator[str]:
    with serving(Rig().app()) as url:
        yield url
