"""Commands run in this process set the log level for their own; later tests want theirs."""

from collections.abc import Iterator

import pytest

from app import telemetry


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    yield
    telemetry.configure("warning")
