"""The service in front of the emulator, each on a socket, asked by other people's SDKs."""

from collections.abc import Iterator

import pytest

from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from tests.streaming.conftest import Service, running
from tests.support.server import serving

ALIAS = "gpt-4o-mini"


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    with serving(create_emulator(EmulatorConfig())) as url:
        yield url


@pytest.fixture
def service(emulator_url: str) -> Iterator[Service]:
    with running(emulator_url, model_aliases=(ALIAS,)) as service:
        yield service
