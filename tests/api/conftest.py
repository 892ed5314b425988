from collections.abc import Iterator

import httpx
import pytest

from tests.support.fakes.ports import FakeVisionModel
from tests.support.servers.otlp_collector import Collector, collecting
from tests.support.service.application import Rig


@pytest.fixture
def model() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture
def client(model: FakeVisionModel) -> Iterator[httpx.Client]:
    with Rig(model).client() as client:
        yield client


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """An OTLP collector that OpenTelemetry's environment variables point to."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector
