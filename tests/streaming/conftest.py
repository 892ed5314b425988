"""The service and the emulator, each on a socket; the model id selects faults."""

import pytest

from app.domain.model import Dialect
from tests.support.model.dialects import BEDROCK


@pytest.fixture(params=BEDROCK)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)
