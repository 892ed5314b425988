"""The service and the emulator, each on a socket, called by third-party SDKs."""

from collections.abc import Iterator

import pytest

from tests.support.model.dialects import ALIAS
from tests.support.service.emulated import Service, running


@pytest.fixture
def service(emulator_url: str) -> Iterator[Service]:
    with running(emulator_url, model_aliases=(ALIAS,)) as service:
        yield service
