"""Restores the log level, which commands run in this process change."""

from collections.abc import Iterator

import pytest

from app import telemetry


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    yield
    telemetry.configure("warning")
