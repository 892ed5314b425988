"""The units of a copy, looked up at Bedrock during the start."""

import socket
import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from app.domain.cost import UnitPrice
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import Settings
from app.wiring.model import open_guards
from app.wiring.units import units_lookup
from tests.support.servers.uvicorn import serving

MODEL = "arn:aws:bedrock:us-west-2:123456789012:imported-model/llama32vis11"


def lookup() -> threading.Thread | None:
    return next((thread for thread in threading.enumerate() if thread.name == "units"), None)


@pytest.fixture
def emulator_url() -> Iterator[str]:
    config = EmulatorConfig(region="us-west-2", listed_imports_only=True)
    with serving(create_emulator(config)) as url:
        yield url


def looked_up(url: str, model_id: str = MODEL) -> tuple[UnitPrice, list[dict[str, object]]]:
    settings = Settings(_env_file=None, endpoint_url=url, model_id=model_id)
    guards = open_guards(settings)
    price = guards[0].price
    assert isinstance(price, UnitPrice)
    with capture_logs() as lines, units_lookup(guards, settings):
        if thread := lookup():
            thread.join(60)
    return price, [dict(line) for line in lines]


def test_the_units_of_a_copy_are_read_from_bedrock(emulator_url):
    price, lines = looked_up(emulator_url)

    assert price.units_per_copy == 2
    assert lines == []


def test_a_refused_look_up_is_logged_with_code_and_remedy(emulator_url):
    price, (line,) = looked_up(emulator_url, f"{MODEL}x")

    assert price.units_per_copy is None
    assert line["reason"] == "ResourceNotFoundException"
    assert "bedrock:GetImportedModel" in str(line["remedy"])


def test_a_hanging_control_plane_does_not_delay_shutdown():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = Settings(_env_file=None, endpoint_url=url, model_id=MODEL)
        with units_lookup(open_guards(settings), settings):
            thread = lookup()
        assert thread is not None
        # Nothing waits for the thread, not even the interpreter at exit.
        assert thread.is_alive()
        assert thread.daemon
    thread.join(60)


def test_known_units_are_not_looked_up(tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text(
        '{"as_of": "2026-11-27", "source": "x", "prices": [], "custom_model_units": '
        '{"usd_per_unit_minute": 1, "units_per_copy": {"llama3-2-11b": 2}}}'
    )
    settings = Settings(_env_file=None, model_id=MODEL, prices_file=prices)
    with units_lookup(open_guards(settings), settings):
        assert lookup() is None
