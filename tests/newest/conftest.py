"""The service on a socket, and the environment with the newest releases of client libraries."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.programs.installed import newest_python
from tests.support.programs.newest import Answers, answers
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig


@pytest.fixture(scope="session")
def newest() -> Path:
    """Return that environment's interpreter, or skip the test."""
    return newest_python()


@pytest.fixture
def newest_answers(tmp_path: Path) -> Answers:
    """Return a function that runs a program of this folder and returns its output."""
    return partial(answers, folder=tmp_path)


@pytest.fixture
def service_url() -> Iterator[str]:
    with serving(Rig().app()) as url:
        yield url
