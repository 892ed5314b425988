"""The service on a socket, and the environment with the newest releases of what callers bring."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.app import Rig
from tests.support.newest import Answers, answers
from tests.support.programs import newest_python
from tests.support.server import serving


@pytest.fixture(scope="session")
def newest() -> Path:
    """Return that environment's interpreter; without it the test does not run."""
    return newest_python()


@pytest.fixture
def newest_answers(tmp_path: Path) -> Answers:
    """Return what runs a program of this folder's and returns what it says."""
    return partial(answers, folder=tmp_path)


@pytest.fixture
def service_url() -> Iterator[str]:
    with serving(Rig().app()) as url:
        yield url
