"""One emulator for all tests that need no special configuration."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.emulator.config import EmulatorConfig
from tests.support.emulator.serving import OPENED, Served, serving


@pytest.fixture(scope="session")
def emulator() -> Iterator[Served]:
    """Serve an emulator with defaults that records prompts."""
    with serving(EmulatorConfig(record_prompts=True)) as served:
        yield served


@pytest.fixture
def runtime(emulator: Served) -> Any:
    """Return boto3's bedrock-runtime client."""
    return emulator.client()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close the clients that a test opened."""
    yield
    while OPENED:
        OPENED.pop().close()
