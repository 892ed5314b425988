"""Off loopback, installing faults and reading requests require a token."""

from collections.abc import Iterator

import httpx
import pytest

from app.emulator.__main__ import config_of, parsed
from app.emulator.config import EmulatorConfig
from tests.support.emulator.serving import Served, serving

TOKEN = "an-admin-token"
ENDPOINTS = [
    ("GET", "faults"),
    ("POST", "faults"),
    ("DELETE", "faults"),
    ("DELETE", "faults/1"),
    ("GET", "requests"),
    ("DELETE", "requests"),
    ("GET", "imported-models"),
    ("POST", "imported-models/llama32vis11"),
    ("GET", "metrics/ModelCopy"),
    ("GET", "nothing"),
]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    with serving(EmulatorConfig(admin_token=TOKEN)) as served:
        yield served


@pytest.fixture(scope="module")
def closed() -> Iterator[Served]:
    """Serve an emulator configured as off loopback, without a token."""
    with serving(EmulatorConfig(admin_open=False)) as served:
        yield served


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
    ],
)
def test_without_the_token_every_endpoint_is_closed(
    guarded: Served, closed: Served, method: str, path: str, headers: dict[str, str]
) -> None:
    for served in (guarded, closed):
        reply = httpx.request(method, f"{served.url}/_emulator/{path}", headers=headers)
        assert reply.status_code == 401
        assert TOKEN not in reply.text


def test_health_is_open_so_that_a_container_can_be_watched(guarded: Served, closed: Served) -> None:
    for served in (guarded, closed):
        assert served.admin("GET", "health")["status"] == "ok"


def test_with_the_token_the_endpoints_answer(guarded: Served) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert guarded.admin("GET", "requests", headers=headers)["received"] == 0
    installed = guarded.admin("POST", "faults", headers=headers, json={"fault": "throttle-first-1"})
    assert guarded.admin("DELETE", f"faults/{installed['number']}", headers=headers)


@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("emulator.internal", False),
        ("localhost.example.com", False),
    ],
)
def test_only_a_loopback_address_opens_the_endpoints_without_a_token(
    host: str, is_open: bool
) -> None:
    assert config_of(parsed(["--host", host], {})).admin_open is is_open


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(EmulatorConfig(admin_token=TOKEN))
