"""The output and ports of ``python -m app dev``."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.cli.dev import EMULATOR_PORT, emulator_port
from app.settings import PREFIX, SettingsError
from fixtures.process import ROOT, free_port
from tests.support.service.access import add_key


@contextmanager
def dev(folder: Path, *arguments: str, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    named = {"port": str(free_port()), "image_workers": "1", "usage_store": "memory", **settings}
    # Other processes may use the emulator's default port at the same moment.
    environment = {
        "EMULATOR_PORT": str(free_port()),
        **os.environ,
        **{PREFIX + name.upper(): text for name, text in named.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "dev", *arguments],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_if_the_emulators_port_is_occupied_another_one_is_used():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A port held by another process serves as well.
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", EMULATOR_PORT))
            taken.listen()

        assert emulator_port() != EMULATOR_PORT


@pytest.mark.parametrize("named", ["x", "-1", "99999", "9100.5"])
def test_a_malformed_emulator_port_is_reported(monkeypatch, named):
    monkeypatch.setenv("EMULATOR_PORT", named)

    with pytest.raises(SettingsError, match=f"EMULATOR_PORT: '{named}' is not a port"):
        emulator_port()


def test_a_chosen_emulator_port_that_is_occupied_is_reported(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("EMULATOR_PORT", str(taken.getsockname()[1]))

        with pytest.raises(SettingsError, match=r"EMULATOR_PORT: \d+ is taken"):
            emulator_port()


@pytest.mark.parametrize("guarded", [False, True])
def test_it_sends_a_first_request_or_says_why_it_cannot(tmp_path, guarded):
    settings = {}
    if guarded:
        add_key(tmp_path / "keys.json")
        settings = {"keys_file": str(tmp_path / "keys.json"), "public_readiness": "false"}

    told = []
    with dev(tmp_path, **settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if line.startswith("Serving on "):
                break

    text = "".join(told)
    assert ("POST http" in text, "asked: this service is set to ask for keys" in text) == (
        not guarded,
        guarded,
    )
    assert "credentials_missing" not in text


def test_with_tls_it_says_how_clients_can_trust_its_certificate(tmp_path):
    told = []
    with dev(tmp_path, "--tls", "kept") as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if line.startswith("Serving on "):
                break
        url = told[-1].split()[2].rstrip(";")
        (trust,) = [line for line in told if line.startswith("export AWS_CA_BUNDLE=")]
        named = {Path(word.partition("=")[2]) for word in trust.split()[1:]}
        context = ssl.create_default_context(cafile=named.pop())
        # The model name in the pages' programs.
        asked = {"model": "us.meta.llama3-2-11b-instruct-v1:0", "input": "Why?"}
        response = httpx.post(f"{url}/v1/responses", json=asked, verify=context)
        # Also by the host name, which the certificate has beside the address.
        answers = [
            httpx.get(f"{each}/healthz", verify=context)
            for each in (url, url.replace("127.0.0.1", "localhost"))
        ]

    assert all(answer.is_success for answer in answers)
    assert response.json()["status"] == "completed"
    assert f"POST {url}/v1/generate/upload" in "".join(told)
    assert not named, "each variable has the same file"
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "kept").iterdir()} == {
        "authority.pem": 0o600,
        "certificate.pem": 0o600,
    }


def test_with_mutual_tls_it_says_that_it_cannot_send_a_request(tmp_path):
    (tmp_path / "x.pem").touch()
    run = subprocess.run(
        [sys.executable, "-m", "app", "dev"],
        env={
            **os.environ, "PYTHONPATH": str(ROOT),
            f"{PREFIX}TLS_CERTIFICATE_FILE": "x.pem", f"{PREFIX}TLS_CLIENT_CA_FILE": "x.pem",
        },
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"{PREFIX}TLS_CLIENT_CA_FILE: dev has no client certificate")


def test_an_occupied_port_is_reported_in_one_sentence_and_nothing_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        run = subprocess.run(
            [sys.executable, "-m", "app", "dev"],
            env={**os.environ, "PYTHONPATH": str(ROOT), f"{PREFIX}PORT": str(port)},
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    other = f"Choose another one: make run PORT={port + 1}"
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"Port {port} is taken. {other}\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1"])
def test_an_address_of_another_machine_is_not_called_a_taken_port(tmp_path, host):
    run = subprocess.run(
        [sys.executable, "-m", "app", "dev"],
        env={
            **os.environ, "PYTHONPATH": str(ROOT),
            f"{PREFIX}HOST": host, f"{PREFIX}AUTH": "disabled", f"{PREFIX}PORT": "8000",
        },
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"The service can't listen on {host}, port 8000: ")


def test_it_serves_on_an_ipv6_address(tmp_path):
    with dev(tmp_path, host="::1") as process:
        assert process.stdout is not None
        told = [next(line for line in process.stdout if line.startswith("Serving on "))]

    assert told[0].startswith("Serving on http://[::1]:")


@pytest.mark.parametrize(
    ("imported", "status"),
    [
        ("pydantic", 128 + signal.SIGINT),
        # Only the service and the emulator import it.
        ("uvicorn", 0),
    ],
)
def test_ctrl_c_ends_it_without_a_traceback_while_it_starts(tmp_path, imported, status):
    ports = {"EMULATOR_PORT": str(free_port()), f"{PREFIX}PORT": str(free_port())}
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "dev"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPROFILEIMPORTTIME": "1", **ports},
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A terminal sends it to every process of the group.
        process_group=0,
    )  # fmt: skip
    assert process.stderr is not None
    until = next(line for line in process.stderr if f" {imported}." in line)
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)

    assert until
    assert "Traceback" not in rest
    assert process.returncode == status
