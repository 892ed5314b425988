"""The service and the emulator, each on a socket; faults are chosen by model id."""

import pytest

from app.domain.model import Dialect
from tests.support.dialects import BEDROCK


@pytest.fixture(params=BEDROCK)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)
