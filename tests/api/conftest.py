from collections.abc import Iterator

import httpx
import pytest

from tests.support.app import Rig
from tests.support.fakes import FakeVisionModel


@pytest.fixture
def model() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture
def client(model: FakeVisionModel) -> Iterator[httpx.Client]:
    with Rig(model).client() as client:
        yield client
