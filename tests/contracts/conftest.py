"""The emulator on a socket, and clients of it."""

from collections.abc import Iterator

import pytest

from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from tests.support.server import serving


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    with serving(create_emulator(EmulatorConfig())) as url:
        yield url
