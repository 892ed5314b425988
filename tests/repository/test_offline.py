"""The suite and the service's start connect only to loopback."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError
from structlog.testing import capture_logs

from app.settings import Settings
from app.wiring.services import open_services

ROOT = Path(__file__).parents[2]


def test_a_connection_to_anything_but_loopback_is_refused_in_tests():
    # An address reserved for documentation.
    # Warnings are errors here, and one precedes the error itself.
    with pytest.raises((SocketConnectBlockedError, UserWarning), match=r"192\.0\.2\.1"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_importing_the_application_opens_nothing_and_reads_no_setting():
    code = (
        "import socket, os\n"
        "def refuse(*a, **k): raise AssertionError('network at import')\n"
        "socket.socket.connect = refuse\n"
        "os.environ['LLAMA_VISION_PORT'] = 'nonsense'\n"
        "import app.main, app.wiring.services, app.server.serving, app.emulator.app, app.__main__\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert run.returncode == 0, run.stderr


async def test_an_alias_of_the_model_id_is_logged_as_a_warning(tmp_path):
    settings = Settings(
        _env_file=None,
        model_id="meta.llama3-2-11b-instruct-v10",
        usage_file=tmp_path / "usage.sqlite3",
    )
    with capture_logs() as logs:
        async with open_services(settings) as services:
            assert services.model.targets[0].model_id == "meta.llama3-2-11b-instruct-v1:0"

    (warned,) = [line for line in logs if line["event"] == "model id is an alias"]
    assert warned["log_level"] == "warning"
    assert warned["configured"] == "meta.llama3-2-11b-instruct-v10"
